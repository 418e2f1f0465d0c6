"""What a person sees: data/<case>_<columns>[_colour].txt.

After a change of wording, ``EDGEKIT_WRITE_TRANSCRIPTS=1 pytest tests/report`` rewrites the files;
read their diff.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgekit.measure.host import Host
from edgekit.measure.size import Size
from edgekit.recipe.gate_spec import GateSpec
from edgekit.report import NotMeasured, Report
from edgekit.report.terminal import print_report, relative
from edgekit.types import FloatOp
from tests.report.sample import (
    CHOICE,
    FACTS,
    FIDELITY,
    FLOAT_OPS,
    GATE,
    LATENCY,
    MODULES,
    OLDER,
    TOP1,
    TORCH_FACTS,
    UNTUNED,
    WAYS,
    report,
    torch_report,
)

DATA = Path(__file__).parent / "data"

REPORTS = {
    "pass": report(),
    "fail": report(
        GateSpec(size_ratio_max=0.25, agreement_min=0.93, top1_drop_max=0.01, speedup_min=1.0),
        facts=replace(FACTS, float_ops=FLOAT_OPS, int8_mac_fraction=0.98),
        latency=replace(LATENCY, threads=2, speedup=1.29, ci_low=0.84, ci_high=1.51),
        host=Host("Some CPU", int8_dot_product=False),
    ),
    "inconclusive": report(replace(GATE, top1_drop_max=0.01)),
    "tensors": report(
        GateSpec(sqnr_db_min=15, size_bytes_max=2_000_000),
        accuracy={},
        fidelity=replace(FIDELITY, agreement=None),
        latency=NotMeasured("latency.enabled is false"),
        notes=(),
    ),
    "older": report(replace(GATE, tflite_runtime_2_14=True), older_runtime=OLDER),
    "torch": torch_report(),
    "auto": report(choices=(CHOICE,), alternatives={"tflite_int8": UNTUNED}),
    "ways": report(choices=(WAYS,), alternatives={"torch_onnx, onnx2tf": UNTUNED}),
}


def printed(made: Report, columns: int, *, colour: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=columns,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    print_report(made, console)
    return stream.getvalue()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("case", REPORTS)
def test_transcript(case: str, columns: int, colour: bool) -> None:
    text = printed(REPORTS[case], columns, colour=colour)
    expected = DATA / f"{case}_{columns}{'_colour' if colour else ''}.txt"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("case", REPORTS)
def test_nothing_is_cut_off_at_any_width(case: str, columns: int) -> None:
    text = printed(REPORTS[case], columns, colour=False)
    assert all(len(line) <= columns for line in text.splitlines())
    if columns >= 40:
        assert "…" not in text
    words = "".join(text.split())
    for check in REPORTS[case].checks:
        if check.status.value != "pass":
            assert "".join(check.why.split()) in words
    for note in REPORTS[case].notes:
        assert "".join(note.split()) in words
    for choice in REPORTS[case].choices:
        for candidate in choice.candidates:
            for reason in (candidate.lost, candidate.error):
                assert "".join((reason or "").split()) in words


def test_modules_that_stayed_float_are_named_until_there_are_many() -> None:
    text = printed(torch_report(), 200, colour=False)
    assert "modules in INT8" in text
    assert "3 of 4" in text
    assert "float: classifier.1 (Linear), the recipe leaves it out (a rule)" in text
    many = replace(TORCH_FACTS, modules=MODULES[3:] * 9)
    text = printed(torch_report(facts=many), 200, colour=False)
    assert text.count("float: classifier.1") == 4
    assert "float: and 5 more modules" in text


def test_operators_of_tensorflow_itself_are_named() -> None:
    flex = FloatOp("FlexCholesky", "net/whiten")
    made = report(facts=replace(FACTS, select_tf_ops=(flex,)))
    assert "megabytes more on a phone: FlexCholesky at net/whiten" in printed(
        made, 120, colour=False
    )


def test_an_interval_has_the_digits_its_samples_can_tell() -> None:
    many = replace(TOP1, drop=0.0069, n=3182, ci_low=0.0012, ci_high=0.0129)
    text = printed(report(accuracy={"top1": many}), 120, colour=False)
    assert "-0.7 points [-1.3, -0.1]" in text
    assert "[-24, +12]" in printed(report(accuracy={"top1": TOP1}), 120, colour=False)


def test_an_alternative_has_its_own_size() -> None:
    (line,) = (
        line
        for line in printed(torch_report(), 120, colour=False).splitlines()
        if line.startswith("size without fine-tuning")
    )
    assert line.split()[-6:] == ["14.02", "MB", "4.21", "MB", "0.300", "x"]


def test_small_models_have_figures_too() -> None:
    made = report(
        size=Size(2_400, 1_900, 1_900 / 2_400),
        latency=replace(LATENCY, float_ms=0.00213, quantized_ms=0.95),
    )
    text = printed(made, 80, colour=False)
    for figure in ("2.4 kB", "1.9 kB", "0.00213 ms", "0.95 ms"):
        assert f" {figure} " in text


def test_text_of_the_users_is_no_markup() -> None:
    text = printed(report(notes=("[red]a file[/red] :smile:",)), 80, colour=True)
    assert "[red]a file[/red] :smile:" in text


def test_the_verdict_and_the_folder_end_it() -> None:
    *_, verdict, folder = printed(report(), 80, colour=False).splitlines()
    assert verdict == "PASS  7 of 7 required checks passed, exit code 0"
    assert folder == "runs/mobilenet_int8/20260304T050607Z-0123456/"


def test_a_terminal_without_unicode_gets_a_table_too() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_report(report(), Console(file=stream, width=80, markup=False, emoji=False))
    stream.seek(0)
    assert "PASS" in stream.read()


def test_a_folder_below_is_shown_short_and_another_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "runs" / "a") == "runs/a"
    assert relative(Path("runs/a")) == "runs/a"
    assert relative(tmp_path.parent / "b") == str(tmp_path.parent / "b")
