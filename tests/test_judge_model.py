"""The gate through the public function: every limit of a recipe, and input that must never pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.errors import (
    EXIT_FAILED,
    EXIT_USAGE,
    DataError,
    EdgekitError,
    MismatchError,
    RecipeError,
    SessionError,
    UsageError,
)
from edgekit.gate.check import Status, Verdict
from edgekit.measure import measurements
from edgekit.pipeline import judge_model
from edgekit.report import Report
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tiny_runs import write_arrays, write_model, write_recipe

RECALL = {"evaluate": {"metrics": ["top1", "recall"]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``net.tflite``, ``data.npz`` and ``good.tflite``, its INT8 form."""
    folder = tmp_path_factory.mktemp("judged")
    write_model(folder)
    write_arrays(folder)
    (folder / "good.tflite").write_bytes(quantized(models.float_model()))
    return folder


def judged(
    home: Path, *changes: dict[str, Any], model: str = "good.tflite", **options: Any
) -> Report:
    recipe = write_recipe(home, {"latency": {"enabled": False}}, *changes)
    return judge_model(
        home / model, str(recipe), out=home / "out", force=True, cache=Cache(home / "c"), **options
    )


def refused(
    home: Path, *changes: dict[str, Any], kind: type[EdgekitError], **options: Any
) -> EdgekitError:
    """A judgement that ends in an error, and leaves nothing."""
    recipe = str(write_recipe(home, {"latency": {"enabled": False}}, *changes))
    model = home / options.pop("model", "good.tflite")
    with pytest.raises(kind) as caught:
        judge_model(model, recipe, out=home / "none", cache=Cache(home / "c"), **options)
    assert not (home / "none").exists()
    return caught.value


def data_file(home: Path, name: str, **arrays: Any) -> dict[str, Any]:
    """``data.npz`` with other arrays, and the recipe's change that evaluates on it."""
    with np.load(home / "data.npz") as known:
        np.savez(home / name, **{**known, **arrays})
    return {"evaluate": {"dataset": name}}


def written(home: Path, name: str, data: bytes) -> str:
    (home / name).write_bytes(data)
    return name


# Limits -----------------------------------------------------------------------------------------


def test_every_limit_of_a_recipe_is_a_check(home: Path) -> None:
    limits = {
        "size_ratio_max": 3.0,
        "size_bytes_max": 100_000,
        "agreement_min": 0.8,
        "sqnr_db_min": 10,
        "top1_drop_max": 0.9,
        "drop_max": {"recall": 0.9},
        "relative_drop_max": {"top1": 0.9, "recall": 0.95},
        "class_recall_drop_max": 0.95,
        "confidence": 0.9,
        "latency_ms_max": 10_000.0,
        "float_ops_max": 0,
        "transposes_max": 0,
        "peak_memory_mb_max": 500.0,
    }
    report = judged(home, RECALL, {"gate": limits, "latency": {"enabled": True, "rounds": 6}})
    found = {check.name: check for check in report.checks}
    assert list(found) == [
        "artefact.input_dtype",
        "artefact.output_dtype",
        "artefact.full_integer",
        "artefact.float_ops",
        "artefact.transposes",
        "size.ratio",
        "size.bytes",
        "fidelity.agreement",
        "fidelity.sqnr_db",
        "accuracy.top1.drop",
        "accuracy.recall.drop",
        "accuracy.recall.relative_drop",
        "accuracy.top1.relative_drop",
        "accuracy.recall.class_drop",
        "latency.host.quantized_ms",
        "memory.peak_mb",
    ]
    assert {check.status for check in report.checks} == {Status.PASS}
    assert "the 90 % interval" in found["accuracy.top1.drop"].why
    saved = json.loads((home / "out" / "report.json").read_text())
    assert saved["memory"]["peak_bytes"] == found["memory.peak_mb"].value * 1e6  # type: ignore[operator]
    assert list(saved["right"]) == ["top1"]


def test_what_cannot_be_weighed_is_undecided_and_the_rest_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hanging(*_: Any, **__: Any) -> Any:
        raise SessionError("the interpreter hung while running good.tflite")

    monkeypatch.setattr(measurements, "measure_memory", hanging)
    report = judged(home, {"gate": {"peak_memory_mb_max": 500.0}})
    (check,) = [each for each in report.checks if each.name == "memory.peak_mb"]
    assert (check.status, check.required) == (Status.NOT_MEASURED, True)
    assert "hung" in check.why
    assert report.verdict is Verdict.INCONCLUSIVE


def test_limits_that_contradict_each_other_are_refused_with_their_place(home: Path) -> None:
    gate = {"gate": {"top1_drop_max": 0.01, "drop_max": {"top1": 0.02}}}
    error = refused(home, gate, kind=RecipeError)
    assert error.exit_code == EXIT_USAGE
    told = str(error)
    assert "recipe.yaml:" in told
    assert "gate.top1_drop_max: contradicts gate.drop_max, which allows top1 0.02" in told


TOP1 = {"evaluate": {"metrics": ["top1"]}, "gate": {"baseline_drop_max": 0.3}}


@pytest.fixture(scope="module")
def last(home: Path) -> Path:
    """The report of the last release."""
    report = judged(home, TOP1)
    assert report.verdict is Verdict.PASS  # without a baseline nothing is held against it
    return (home / "out" / "report.json").rename(home / "last.json")


def test_a_release_is_held_against_the_last_sample_by_sample(home: Path, last: Path) -> None:
    other = written(home, "other.tflite", quantized(models.float_model(seed=1)))
    report = judged(home, TOP1, model=other, baseline=last)
    (found,) = [check for check in report.checks if check.name.startswith("baseline.accuracy.")]
    assert (found.name, found.status) == ("baseline.accuracy.top1.drop", Status.FAIL)
    top1 = report.accuracy["top1"]
    before = json.loads(last.read_text())["accuracy"]["top1"]["quantized"]
    assert found.value == pytest.approx(before - top1.quantized)


# Input that must never pass ---------------------------------------------------------------------


NAN_ROWS = np.random.default_rng(7).normal(size=(100, 4, 4, 3)).astype(np.float32)
NAN_ROWS[:, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((0, 4, 4, 3), np.float32), "labels": np.zeros(0, int)}, "holds no samples"),
        ({"labels": np.full(100, 2)}, "samples have the label 2"),
        ({"labels": np.arange(100) % 6}, "has label 5"),
        ({"labels": np.zeros(99, int)}, "99"),
        ({"x": NAN_ROWS}, "NaN"),
    ],
    ids=["empty", "one class", "out of range", "too few labels", "NaN"],
)
def test_data_that_can_prove_nothing_are_refused(
    home: Path, arrays: dict[str, Any], words: str
) -> None:
    error = refused(home, data_file(home, "other.npz", **arrays), kind=DataError)
    assert error.exit_code == EXIT_USAGE
    assert words in error.message


def rolled(places: int) -> bytes:
    """The network with its classes in another order."""
    w = models.weights()
    turned = replace(
        w, matrix=np.roll(w.matrix, places, axis=0), matrix_bias=np.roll(w.matrix_bias, places)
    )
    return models.write([models.float_graph(turned)], {"serving_default": 0})


def test_classes_in_another_order_fail(home: Path) -> None:
    model = written(home, "rolled.tflite", quantized(rolled(1)))
    report = judged(home, {"gate": {"top1_drop_max": 0.05}}, model=model)
    failed = {check.name for check in report.checks if check.status is Status.FAIL}
    assert {"fidelity.agreement", "accuracy.top1.drop"} <= failed
    assert report.exit_code == EXIT_FAILED


def test_an_output_of_another_shape_is_refused(home: Path) -> None:
    graph = models.Graph()
    x, y = (graph.tensor(name, models.INPUT_SHAPE) for name in ("x", "scores"))
    graph.operator("RELU", [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    model = written(home, "shape.tflite", models.write([graph], {"serving_default": 0}))
    error = refused(home, model=model, kind=MismatchError)
    assert error.exit_code == EXIT_FAILED
    assert "scores" in error.message


def test_outputs_whose_names_are_swapped_are_refused(home: Path) -> None:
    graph = models.float_graph(models.weights())
    graph.outputs = {"hidden": 3, **graph.outputs}
    (home / "two.tflite").write_bytes(models.write([graph], {"serving_default": 0}))
    graph.outputs = {"hidden": graph.outputs["scores"], "scores": 3}
    model = written(home, "swapped.tflite", models.write([graph], {"serving_default": 0}))
    two = {"model": {"file": "file:two.tflite", "outputs": ["hidden", "scores"]}}
    error = refused(home, two, model=model, kind=MismatchError)
    assert error.exit_code == EXIT_FAILED


def test_a_file_that_answers_nan_never_passes(home: Path) -> None:
    w = models.weights()
    broken = replace(w, matrix_bias=np.full_like(w.matrix_bias, np.nan))
    graph = models.float_graph(broken)
    model = written(home, "nan.tflite", models.write([graph], {"serving_default": 0}))
    error = refused(home, model=model, kind=SessionError)
    assert error.exit_code == EXIT_FAILED
    assert "NaN" in error.message


def test_a_baseline_of_another_schema_is_refused(home: Path, last: Path) -> None:
    (home / "base.json").write_text(json.dumps({**json.loads(last.read_text()), "schema": 2}))
    error = refused(home, kind=UsageError, baseline=home / "base.json")
    assert error.exit_code == EXIT_USAGE
    assert "schema: must be 1, not 2" in error.message
