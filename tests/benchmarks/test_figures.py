"""The benchmark's own arithmetic: verdicts, ratios, processes, and that the command starts."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from benchmarks import direct
from benchmarks.figure import Figure, Target, number, render
from benchmarks.process import run
from benchmarks.ratio import ratio_of_medians, round_ratios


@pytest.mark.parametrize(
    ("relation", "value", "verdict"),
    [
        (">=", 0.93, "reached"),
        (">=", 0.9299, "missed"),
        ("<=", 0.93, "reached"),
        ("<=", 0.9301, "missed"),
        (">", 0.93, "missed"),
        (">", 0.9301, "reached"),
    ],
)
def test_verdict_at_the_limit(relation, value, verdict):
    assert Figure("x", value, target=Target(relation, 0.93)).verdict == verdict


def test_without_a_target_a_figure_is_only_stated():
    figure = Figure("memory", 1234.5, "MiB")
    assert figure.verdict == "stated"
    assert json.loads(json.dumps(figure.to_dict()))["target"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.28884, "0.2888"),
        (0.9325, "0.9325"),
        (1.3616, "1.362"),
        (14.106, "14.11"),
        (123.45, "123.5"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_keep_the_digits_that_count(value, text):
    assert number(value, "") == text
    assert number(value, "ms") == f"{text} ms"


def test_the_table_shows_value_interval_direct_calls_and_notes():
    figure = Figure(
        "calibrating",
        1.32,
        "x",
        Target("<=", 1.5),
        ci=(1.25, 1.41),
        beside=(("all tensors preserved", 2.18),),
        notes=("medians 1.4 s and 1.1 s",),
    )
    said = io.StringIO()
    Console(file=said, width=120).print(render([figure]))
    for part in ("<= 1.5", "1.320 x", "[1.250, 1.410]", "all tensors preserved 2.180", "reached"):
        assert part in said.getvalue()
    assert "calibrating: medians 1.4 s and 1.1 s" in said.getvalue()


def test_ratio_of_medians_ignores_an_outlier_and_brackets_the_truth():
    rng = np.random.default_rng(0)
    plain = rng.normal(1.0, 0.02, 15)
    ours = 1.3 * rng.normal(1.0, 0.02, 15)
    ours[3] = 40.0
    ratio = ratio_of_medians(ours.tolist(), plain.tolist())
    assert ratio.value == pytest.approx(1.3, rel=0.02)
    assert ratio.low <= 1.3 <= ratio.high
    assert ratio.high < 1.4


def test_round_ratios_pair_the_rounds():
    ratios = round_ratios([10.0, 30.0, 12.0], [10.0, 20.0, 10.0])
    assert (ratios.median, ratios.low, ratios.high) == (1.2, 1.0, 1.5)


def test_compare_counts_agreement_and_noise():
    reference = np.array([[1.0, 0.0], [0.0, 2.0]])
    answers = np.array([[1.0, 0.0], [2.0, 0.0]])
    compared = direct.compare(reference, answers)
    assert compared["agreement"] == 0.5
    assert compared["sqnr_db"] == pytest.approx(10 * np.log10(5 / 8))


def test_a_process_is_timed_and_its_children_count_in_its_memory():
    hold = "b = bytearray(150 * 2**20); import time; time.sleep(3)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    alone = run([sys.executable, "-c", hold])
    together = run([sys.executable, "-c", f"b = bytearray(150 * 2**20); {child}"])
    assert alone.seconds >= 3
    assert 150 * 2**20 <= alone.peak_bytes < 250 * 2**20
    assert together.peak_bytes >= 300 * 2**20


def test_a_process_that_fails_is_quoted():
    broken = [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"]
    with pytest.raises(RuntimeError, match=r"exit code 3(.|\n)*no luck"):
        run(broken)
    assert run(broken, accept=(0, 3)).exit_code == 3


def test_the_direct_script_has_nothing_of_edgekit(repository):
    loaded = (
        "import benchmarks.direct, sys; "
        "print([name for name in sys.modules if name.split('.')[0] == 'edgekit'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", loaded], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_the_command_explains_itself(repository):
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.main_job", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--recipe", "mobilenet_int8", "efficientnet_lite0_int8", "all", "--json"):
        assert option in ran.stdout


def test_an_interrupted_benchmark_takes_its_process_with_it(repository, tmp_path):
    mark = tmp_path / "pid"
    held = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"from benchmarks.process import run; import sys; run([sys.executable, '-c', {held!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], cwd=repository, stderr=subprocess.DEVNULL
    ) as program:
        deadline = time.monotonic() + 30
        while not (mark.exists() and mark.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        program.send_signal(signal.SIGINT)
        program.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
