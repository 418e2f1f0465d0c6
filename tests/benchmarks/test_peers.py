"""The benchmark of the peers: its rows, tables, targets and plot; no peer is run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import direct
from benchmarks.peers import plot as plots
from benchmarks.peers.environments import SPECS, script_in
from benchmarks.peers.measure import Compared, Row, Timed, last_words, make_row
from benchmarks.peers.plot import plot
from benchmarks.peers.rows import EXACT, PEERS, TOOLS, Made, Peer, chosen
from benchmarks.peers.table import (
    TARGETS,
    figures,
    main_table,
    other_table,
    points_lost,
    remarks,
)
from benchmarks.peers.work import EVAL, OTHER_CROPS, OTHER_PHOTOS, Work
from benchmarks.ratio import Ratio
from edgekit.data.manifest import load_manifest, shipped_manifests
from edgekit.errors import MissingError
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe

SVG = "{http://www.w3.org/2000/svg}"
NO_WORK = cast(Work, None)


def row(
    folder: Path,
    name: str,
    agreement: float = 0.98,
    sqnr_db: float = 22.0,
    *,
    size: int = 4_000_000,
    seconds: float = 9.0,
    over_exact: float = 1.0,
    elsewhere: dict[str, float] | None = None,
) -> Row:
    file = folder / f"{name.replace('/', '-')}.tflite"
    file.write_bytes(name.encode().ljust(size, b"\0"))
    compared = {EVAL: Compared(agreement, sqnr_db)}
    compared |= {other: Compared(each, 20.0) for other, each in (elsewhere or {}).items()}
    timed = Timed(3.21, Ratio(2.5, 2.4, 2.6), Ratio(over_exact, 0.99, 1.03))
    made = Made(file, seconds, 900 * 2**20, version="engine 0.10")
    return Row(name, "tflite", file, made, None, compared, timed)


def failing(error: Exception) -> Peer:
    def make(work: Work, folder: Path) -> Made:
        raise error

    return Peer("a peer", "engine", "tflite", make)


def test_the_main_table_is_markdown_with_a_line_a_row(tmp_path):
    lines = main_table(
        [row(tmp_path, "one"), Row("two", "onnx", failed="no such package")]
    ).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {9}
    assert lines[2] == "| one | 0.9800 | 22.00 | 4.000 | 3.21 | 2.50 [2.40, 2.60] | 9.0 | 900 |"
    assert lines[3].startswith("| two | failed |")


def test_a_float_model_has_no_seconds_of_quantizing(tmp_path):
    line = main_table([replace(row(tmp_path, "float .tflite"), made=None)]).splitlines()[2]
    assert line.endswith("| 2.50 [2.40, 2.60] |  |  |")


def test_other_crops_are_told_with_the_points_they_differ_by(tmp_path):
    there = {OTHER_CROPS: 0.985, OTHER_PHOTOS: 0.96}
    table = other_table([row(tmp_path, "one", elsewhere=there), Row("two", "onnx", failed="x")])
    assert table.splitlines()[0] == "|  | eval | other crops | other photos |"
    assert "0.9850, 20.00 dB (+0.50) | 0.9600, 20.00 dB (-2.00)" in table
    assert "two" not in table


def test_the_interval_of_what_is_lost_is_as_wide_as_the_photos_are_unlike():
    assert points_lost([0.9] * 20, [0.8] * 8) == pytest.approx((10.0, 10.0))
    low, high = points_lost([1.0, 0.9] * 10, [1.0, 0.6] * 4)
    assert low < 100 * (0.95 - 0.8) < high
    assert 15 < high - low < 35
    assert points_lost([], [0.8]) is None


def test_remarks_name_failures_notes_equal_files_and_versions(tmp_path):
    one, two = row(tmp_path, "one"), row(tmp_path, "two")
    assert two.file is not None
    assert one.file is not None
    two.file.write_bytes(one.file.read_bytes())
    assert two.made is not None
    two = replace(two, made=replace(two.made, note="the bridge took 42 s"))
    assert remarks([one, two, Row("three", "onnx", failed="pip could not install nncf")]) == [
        "three: failed: pip could not install nncf",
        "two: the bridge took 42 s",
        "two: byte for byte the file of one",
        "versions: engine 0.10",
    ]


def verdicts(rows: list[Row], recipe: str = "mobilenet_int8") -> dict[str, str]:
    return {figure.name.split(",")[0]: figure.verdict for figure in figures(recipe, rows)}


def test_edgekit_is_held_against_its_targets_and_against_exact_extremes(tmp_path):
    exact, there = row(tmp_path, EXACT), {OTHER_CROPS: 0.97}
    best = row(tmp_path, "edgekit, best", 0.975, 21.0, seconds=150, elsewhere=there)
    reached = verdicts([exact, best])
    assert set(reached.values()) == {"reached"}
    assert list(reached) == [
        *("agreement", "SQNR", "quantizing", "size / exact min/max"),
        *("latency / exact min/max", "agreement lost on other crops"),
    ]
    worse = row(
        *(tmp_path, "edgekit, best", 0.9749, 20.9),
        size=4_020_001,
        seconds=150.1,
        over_exact=1.021,
        elsewhere={OTHER_CROPS: 0.9648},
    )
    assert set(verdicts([exact, worse]).values()) == {"missed"}


def test_the_best_other_peer_stands_beside_edgekit(tmp_path):
    rows = [
        row(tmp_path, "float", 1.0, 115.0),
        row(tmp_path, "edgekit, best", 0.98, 23.0),
        row(tmp_path, "edgekit, fast", 0.97, 19.0),
        row(tmp_path, "one", 0.96, 14.0),
        row(tmp_path, "two", 0.95, 19.5),
        Row("three", "onnx", failed="x"),
    ]
    rows[0] = replace(rows[0], made=None)
    agreement, sqnr = figures("mobilenet_int8", rows)[:2]
    assert dict(agreement.beside) == {"one": 0.96}
    assert dict(sqnr.beside) == {"two": 19.5}


def test_a_recipe_without_a_limit_of_seconds_has_no_such_figure(tmp_path):
    best = row(tmp_path, "edgekit, best", 0.99)
    assert "quantizing" not in verdicts([best], "efficientnet_lite0_int8")
    assert "size / exact min/max" not in verdicts([best], "efficientnet_lite0_int8")


def test_a_row_of_edgekit_that_failed_has_no_figures():
    assert figures("mobilenet_int8", [Row("edgekit, best", "tflite", failed="x")]) == []


def test_every_target_is_of_a_row_that_is_run():
    names = [peer.name for peer in PEERS]
    assert len(set(names)) == len(names)
    assert {name for _, name in TARGETS} | {EXACT} <= set(names)
    assert set(TOOLS) == {"edgekit", "engine", "converter", "ort", "nncf"}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RuntimeError("python -m x ended with exit code 1:\nTraceback\nKeyError: 'a'"), "'a'"),
        (MissingError("no such package", hint="Check the network"), "no such package"),
    ],
)
def test_a_peer_that_fails_is_a_row_that_says_why(tmp_path, error, why):
    made = make_row(failing(error), NO_WORK, tmp_path / "0")
    assert made.failed is not None
    assert made.failed.endswith(why)
    assert made.file is None
    assert json.loads(json.dumps(made.to_dict()))["size_bytes"] is None


def test_a_mistake_in_the_benchmark_is_no_row(tmp_path):
    with pytest.raises(TypeError):
        make_row(failing(TypeError("ours")), NO_WORK, tmp_path / "0")


def test_of_an_error_that_edgekit_told_all_lines_are_quoted():
    said = "x ended with exit code 2:\nloading\nerror: 1 problem\n  quantize.effort: unknown key\n"
    assert last_words(said) == "error: 1 problem quantize.effort: unknown key"
    assert last_words("\n") == "it did not say why"


def test_the_rungs_are_told_as_they_were_on_dev():
    rungs = [
        {"name": "ranges", "seconds": 3.04, "agreement": 0.895, "sqnr_db": 18.3},
        {"name": "bias", "seconds": 1.0, "error": "no torch"},
        {"name": "rounded", "seconds": 40.0, "agreement": None, "sqnr_db": 23.0},
    ]
    assert chosen({"of": "rung", "chosen": "ranges", "candidates": rungs}) == (
        "rung ranges; on dev: ranges 0.8950, 18.30 dB (3.0 s), bias no torch (1.0 s), "
        "rounded 23.00 dB (40.0 s)"
    )


def test_a_row_is_json_with_its_intervals(tmp_path):
    told = json.loads(json.dumps(row(tmp_path, "one").to_dict()))
    assert told["timed"]["speedup"] == {"value": 2.5, "low": 2.4, "high": 2.6}
    assert told["compared"]["eval"] == {"agreement": 0.98, "sqnr_db": 22.0, "by_photo": []}
    assert told["peak_bytes"] == 900 * 2**20


def bars(svg: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(svg).iter(f"{SVG}rect") if list(each)]


def test_the_plot_has_a_bar_a_row_and_quantity_of_its_length(tmp_path):
    rows = [row(tmp_path, "edgekit, best", 0.98, 20.0), row(tmp_path, "a <peer> & co", 0.6, 10.0)]
    rows.append(Row("failed", "onnx", failed="x"))
    drawn = bars(plot({"mobilenet_int8": rows}, "100 crops"))
    widths = [float(each.attrib["width"]) for each in drawn]
    assert len(drawn) == 4
    assert widths[1] == pytest.approx(20 * widths[0], rel=0.02)
    assert widths[2] == pytest.approx(2 * widths[3], rel=0.02)
    assert [each.attrib["fill"] for each in drawn] == [plots.EDGEKIT, plots.OTHERS] * 2
    assert drawn[1][0].text == "a <peer> & co"


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(-20, 130)),
        max_size=4,
    )
)
def test_nothing_is_drawn_beyond_the_edges(values):
    made = Made(Path("x"), 1.0, 1)
    rows = [
        Row(f"peer {i}", "onnx", None, made, None, {EVAL: Compared(*each)})
        for i, each in enumerate(values)
    ]
    svg = plot({"one": rows, "two": rows}, "crops")
    height = float(ElementTree.fromstring(svg).attrib["height"])
    drawn = bars(svg)
    assert len(drawn) == 4 * len(rows)
    for each in drawn:
        left, width, top = (float(each.attrib[name]) for name in ("x", "width", "y"))
        assert 0 <= width <= plots.BAR_AREA
        assert left + width + plots.VALUE <= plots.WIDTH
        assert top + plots.BAR <= height


def test_the_plain_loop_feeds_models_of_either_layout():
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 4, 3)
    detail = {"dtype": np.float32, "shape": np.array([1, 3, 2, 4])}
    np.testing.assert_array_equal(direct._stored(values, detail), values.transpose(0, 3, 1, 2))
    detail["shape"] = np.array(values.shape)
    assert direct._stored(values, detail) is values


def test_the_script_has_nothing_of_edgekit(repository):
    loaded = (
        "import benchmarks.peers.direct, sys; "
        "print([name for name in sys.modules if name.split('.')[0] == 'edgekit'])"
    )
    command = script_in(None, SilentProgress()).command()
    ran = subprocess.run(
        [command[0], "-c", loaded], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_the_environment_of_nncf_pins_every_package():
    packages = SPECS["nncf"].packages
    assert {"nncf", "onnx", "onnxruntime", "numpy"} <= set(packages)
    assert all(version[0].isdigit() for version in packages.values())


def test_other_photos_have_no_role_in_what_the_recipes_use():
    other = load_manifest(Path(plots.__file__).parent / "other_photos.yaml")
    used = load_manifest(shipped_manifests()[load_recipe("mobilenet_int8").evaluate.dataset])
    assert len(other.images) == 8
    assert not {image.sha256 for image in other.images} & {image.sha256 for image in used.images}


def test_the_command_explains_itself(repository):
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--recipe", "--samples", "--crops", "--skip", "--plot", "--json", "nncf"):
        assert option in ran.stdout
