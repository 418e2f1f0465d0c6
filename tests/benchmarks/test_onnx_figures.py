"""The benchmark of the ONNX bridges: what its direct calls make, how its figures come about."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks import onnx_direct, onnx_direct_ort
from benchmarks.figure import Figure
from benchmarks.onnx_ort import Way, fashion_figures, ort_figures, ort_table
from benchmarks.onnx_pitch import ONNX, SAVED_MODEL, float_figures, int8_figures
from benchmarks.onnx_routes import Route, route_figures, route_table
from benchmarks.onnx_warm import CHECKED, CONVERTING, DOCUMENTED, SAME, call_figures
from benchmarks.ratio import Ratio
from edgekit.bridges.verify import Hop, HopOutput
from edgekit.numerics.fidelity import Fidelity
from edgekit.runtimes.predict import Predictions
from edgekit.types import ArtefactFacts

WAY = ("torch_onnx", "onnx2tf")


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def route(way: tuple[str, ...], transposes: int, agreement: float, folder: Path) -> Route:
    file = folder / f"{'-'.join(way)}.tflite"
    file.write_bytes(bytes(1000))
    hops = tuple(Hop(name, 8, (HopOutput("y", 0.0, 110.0),), 70, transposes, 2.0) for name in way)
    facts = ArtefactFacts(("int8",), ("int8",), 68, (), transposes, 1, 1.0)
    return Route(way, hops, file, facts, Fidelity(400, agreement, 17.0, 0.1, {}))


def routes_report(chosen: str) -> dict[str, Any]:
    return {
        "choices": [{"chosen": chosen}],
        "fidelity": {"agreement": 0.9575, "sqnr_db": 17.0},
        "size": {"bytes": 4_000_000},
    }


def route_verdicts(folder: Path, transposes: int, agreement: float, ratio: float) -> list[str]:
    made = {
        "litert_torch": route(("litert_torch",), 1, 0.96, folder),
        "torch_onnx, onnx2tf": route(WAY, transposes, agreement, folder),
    }
    ratios = {"litert_torch": Ratio(1, 1, 1), "torch_onnx, onnx2tf": Ratio(ratio, 0.9, 1.2)}
    figures = route_figures(made, ratios, routes_report("torch_onnx, onnx2tf"))
    assert dict(figures[0].beside) == {"litert_torch": 1}
    return [figure.verdict for figure in figures]


def test_the_chosen_way_is_held_against_the_direct_one(tmp_path):
    assert route_verdicts(tmp_path, 0, 0.9575, 1.04) == ["reached"] * 3
    assert route_verdicts(tmp_path, 1, 0.9501, 1.05) == ["reached"] * 3
    assert route_verdicts(tmp_path, 2, 0.9490, 1.06) == ["missed"] * 3


def test_the_table_of_ways_shows_every_hop(tmp_path):
    ratios = {"w": Ratio(1.0123, 0.9, 1.1)}
    said = io.StringIO()
    table = route_table({"w": route(WAY, 0, 0.95, tmp_path)}, ratios, ratios)
    Console(file=said, width=200).print(table)
    for part in ("110, 110", "70 / 68", "0.9500", "1.012 [0.900, 1.100]", "1,000", "2.0 + 2.0"):
        assert part in said.getvalue()


def test_a_call_is_held_against_the_same_calls_of_the_same_rounds():
    seconds = {
        CONVERTING: [12.0, 26.0, 13.0],
        CHECKED: [14.0, 28.0, 15.0],
        SAME: [10.0, 20.0, 10.0],
        DOCUMENTED: [60.0],
    }
    alone, checked = call_figures("onnx2tf", seconds, dict.fromkeys(seconds, 5))
    assert (alone.value, alone.ci, alone.verdict) == (1.3, (1.2, 1.3), "reached")
    assert (checked.value, checked.ci, checked.verdict) == (1.4, (1.4, 1.5), "missed")
    assert dict(alone.beside) == {"/ as documented": pytest.approx(13 / 60)}


def predictions(scale: float, *names: str) -> Predictions:
    rows = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    return Predictions(dict.fromkeys(names, rows * scale), ("a", "b"), None)


def test_outputs_of_the_two_float_models_are_paired_in_order():
    figures = by_name(float_figures(predictions(1.0, "note"), predictions(1.01, "out:1")))
    found = figures["SQNR of ONNX against SavedModel, note"].value
    assert found == pytest.approx(40, abs=0.1)


def test_basic_pitch_reports_are_paired_in_the_order_of_their_recipes():
    def report(name: str, outputs: dict[str, float]) -> dict[str, Any]:
        return {
            "recipe": name,
            "bridges": [{"bridge": "onnx_torch"}],
            "fidelity": {"outputs": {key: {"sqnr_db": db} for key, db in outputs.items()}},
            "size": {"bytes": 126},
            "latency": {"host": {"speedup": 0.9, "ci_low": 0.8, "ci_high": 1.0}},
        }

    call = "StatefulPartitionedCall"
    figures = by_name(
        int8_figures(
            {
                ONNX: report(ONNX, {f"{call}:0": 3.0, f"{call}:1": 1.0, f"{call}:2": 2.0}),
                SAVED_MODEL: report(SAVED_MODEL, {"contour": 6.0, "note": 4.0, "onset": 5.0}),
            }
        )
    )
    for output, ours, other in (("note", 1, 4), ("onset", 2, 5), ("contour", 3, 6)):
        figure = figures[f"SQNR of INT8 from ONNX, {output}"]
        assert (figure.value, figure.beside) == (ours, ((SAVED_MODEL, other),))


def test_ways_of_onnx_runtime_stand_beside_edgekits_choice(tmp_path):
    reference = np.array([[1.0, 0.0], [0.0, 2.0]])
    (tmp_path / "a").write_bytes(bytes(7))
    right = Way("ours", tmp_path / "a", reference + 0.1, 1.0)
    wrong = Way("theirs", tmp_path / "a", reference[:, ::-1], 2.0)
    ratios = {"ours": Ratio(1.4, 1.3, 1.5), "theirs": Ratio(1.1, 1.0, 1.2)}
    ways = [right, wrong]
    agreement, _, size, speed, seconds = ort_figures(ways, reference, ratios, 0.5)
    assert (agreement.value, agreement.beside) == (1.0, (("theirs", 0.0),))
    assert agreement.notes[1:] == ("theirs is byte for byte ours",)
    assert (size.value, speed.ci, seconds.beside) == (7, (1.3, 1.5), (("theirs", 2.0),))
    assert ort_table(ways, reference, ratios).row_count == 2


def test_the_two_formats_of_the_keras_net_stand_side_by_side():
    def report(agreement: float, size: int) -> dict[str, Any]:
        top1 = {"float": 0.9, "quantized": 0.89, "ci_low": 0.0, "ci_high": 0.02, "n": 100}
        host = {"speedup": 1.5, "ci_low": 1.4, "ci_high": 1.6, "float_ms": 3, "quantized_ms": 2}
        return {
            "fidelity": {"agreement": agreement, "sqnr_db": 30.0},
            "accuracy": {"top1": top1},
            "size": {"bytes": size, "ratio": 0.4},
            "latency": {"host": host},
        }

    made = fashion_figures({"fashion_ort_int8": report(0.99, 10), "fashion_int8": report(0.98, 9)})
    figures = by_name(made)
    agreement = figures["agreement, fashion_ort_int8"]
    assert (agreement.value, agreement.beside) == (0.99, (("fashion_int8", 0.98),))
    assert figures["bytes, fashion_ort_int8"].value == 10
    assert figures["top-1 lost, fashion_ort_int8"].value == pytest.approx(1.0)


def small_onnx(file: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["image", "w"], ["c"], name="conv"),
                helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
                helper.make_node("Flatten", ["p"], ["y"], name="flat"),
            ],
            "net",
            [helper.make_tensor_value_info("image", 1, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("y", 1, [1, 5])],
            [numpy_helper.from_array(weight, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, file)


@pytest.mark.parametrize("way", ["minmax_int8", "entropy_reduced"])
def test_the_direct_script_quantizes_by_onnx_runtime(tmp_path, way):
    small_onnx(tmp_path / "net.onnx")
    samples = np.random.default_rng(1).standard_normal((6, 8, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", image=samples)
    job = {
        "model": str(tmp_path / "net.onnx"),
        "input": "image",
        "calibration": str(tmp_path / "samples.npz"),
        "evaluation": str(tmp_path / "samples.npz"),
        "ways": [way],
        "threads": 1,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    onnx_direct_ort.main(str(tmp_path / "job.json"), str(tmp_path))
    reference, answers = (np.load(tmp_path / f"{name}.npy") for name in ("float", way))
    assert answers.shape == reference.shape == (6, 5)
    noise = np.square(answers - reference).sum()
    assert 0 < noise < 0.02 * np.square(reference).sum()
    done = json.loads((tmp_path / "result.json").read_text())["ways"][way]
    assert done["bytes"] == (tmp_path / f"{way}.onnx").stat().st_size
    file = tmp_path / "net.onnx"
    sample = samples[:1].transpose(0, 3, 1, 2)
    (times,) = onnx_direct_ort.time_in_turns([file], sample, 2, 3)
    assert times.shape == (2, 3)
    assert (times > 0).all()


@pytest.mark.parametrize("script", [onnx_direct, onnx_direct_ort])
def test_the_direct_scripts_have_nothing_of_edgekit(repository, script):
    loaded = (
        f"import {script.__name__}, sys; "
        "print([name for name in sys.modules if name.split('.')[0] == 'edgekit'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", loaded], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_the_command_explains_itself(repository):
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.onnx_bridges", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--part", "routes", "warm", "setup", "basic_pitch", "ort", "all", "--json"):
        assert option in ran.stdout
