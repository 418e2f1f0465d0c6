"""A float .tflite as the source: held against the recipe before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.types import ModelKind
from tests import tflite_models as models
from tests.sources.conftest import IMAGE

X = InputSpec("x", models.INPUT_SHAPE, "float32", "NHWC")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.float_model())
    return path


@pytest.fixture
def spec(file: Path) -> ModelSpec:
    return ModelSpec(framework="tflite", inputs=(X,), outputs=("scores",), file=str(file))


def test_it_is_run_as_it_is(spec: ModelSpec) -> None:
    source = locate(spec)
    assert source.kind is ModelKind.FLOAT_TFLITE
    assert source.value == source.files["model"]
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with source.open_session(1) as session:
        found = session.run({"x": x})["scores"]
    np.testing.assert_allclose(found, models.reference(x, models.weights()), rtol=1e-4, atol=1e-5)


def test_the_fingerprint_is_that_of_the_bytes(spec: ModelSpec, file: Path) -> None:
    first = locate(spec).fingerprint
    assert locate(spec).fingerprint == first
    file.write_bytes(models.float_model(seed=1))
    assert locate(spec).fingerprint != first


@pytest.mark.parametrize(
    "wrong",
    [
        replace(X, name="y"),
        replace(X, shape=(1, 8, 8, 3)),
        replace(X, dtype="uint8"),
    ],
)
def test_inputs_that_are_not_the_files(spec: ModelSpec, wrong: InputSpec) -> None:
    with pytest.raises(SourceError, match=r"has x \[1, 4, 4, 3\] float32") as caught:
        locate(replace(spec, inputs=(wrong,)))
    assert "edgekit init" in str(caught.value.hint)


def test_another_number_of_inputs(spec: ModelSpec) -> None:
    with pytest.raises(SourceError, match=r"model\.inputs says x .*; image "):
        locate(replace(spec, inputs=(X, IMAGE)))


def test_outputs_that_are_not_the_files(spec: ModelSpec) -> None:
    with pytest.raises(SourceError, match=r"model\.outputs says logits, but .* has scores"):
        locate(replace(spec, outputs=("logits",)))


def test_a_quantized_file_is_no_source(spec: ModelSpec, file: Path) -> None:
    file.write_bytes(models.int8_model())
    with pytest.raises(SourceError, match="is quantized already: 5 of its 7 tensors") as caught:
        locate(spec)
    assert caught.value.hint == "Start from the float model."


def test_neither_is_one_with_quantized_weights_alone(spec: ModelSpec, file: Path) -> None:
    w, graph = models.weights(), models.Graph()
    x, y = graph.tensor("x", (1, 32)), graph.tensor("scores", (1, 5))
    stored = np.round(w.matrix * 100)
    matrix = graph.tensor("matrix", (5, 32), "int8", stored, models.Quant((0.01,), (0,)))
    graph.operator("FULLY_CONNECTED", [x, matrix], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    file.write_bytes(models.write([graph], {"s": 0}))
    with pytest.raises(SourceError, match="1 of its 3 tensors, the first is matrix"):
        locate(replace(spec, inputs=(replace(X, shape=(1, 32)),)))


def test_without_a_file_or_with_a_damaged_one(spec: ModelSpec, file: Path) -> None:
    with pytest.raises(SourceError, match=r"needs model\.file"):
        locate(replace(spec, file=None))
    file.write_bytes(models.corrupt_model())
    with pytest.raises(SourceError, match=r"model\.tflite"):
        locate(spec)
