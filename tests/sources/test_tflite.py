"""A float .tflite as the source: held against the recipe before anything runs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes.litert import LiteRTSession
from edgekit.sources import locate
from edgekit.tflite import flatbuffer
from edgekit.tflite.graph import parse_graph, read_graph
from edgekit.tflite.metadata import ModelMetadata, TensorMetadata
from edgekit.tflite.metadata_read import read_metadata
from edgekit.tflite.metadata_write import with_metadata
from edgekit.tflite.signatures import with_signature
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


# One signature of several ------------------------------------------------------------------------


def _answers(source: Any) -> Any:
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with source.open_session(1) as session:
        return session.run({"x": x})["scores"]


@pytest.mark.parametrize(("name", "seed"), [("first", 0), ("second", 1)])
def test_one_signature_of_two(spec: ModelSpec, file: Path, name: str, seed: int) -> None:
    file.write_bytes(models.two_signature_model())
    source = locate(replace(spec, signature=name))
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    wanted = models.reference(x, models.weights(seed))
    np.testing.assert_allclose(_answers(source), wanted, rtol=1e-4, atol=1e-5)
    assert read_graph(source.value).signature == name
    model = flatbuffer.unpack(source.value.read_bytes())
    assert (len(model.subgraphs), len(model.signatureDefs)) == (1, 1)
    assert source.size_bytes < 0.7 * file.stat().st_size  # the other's weights are gone
    assert source.fingerprint == locate(replace(spec, signature=name)).fingerprint


def test_which_signature_is_meant(spec: ModelSpec, file: Path) -> None:
    assert locate(replace(spec, signature="serving_default")).value == file  # the only one
    file.write_bytes(models.two_signature_model())
    with pytest.raises(SourceError, match="has several signatures: first, second") as caught:
        locate(spec)
    assert "model.signature" in str(caught.value.hint)
    with pytest.raises(SourceError, match="no signature third; it has first, second"):
        locate(replace(spec, signature="third"))
    file.write_bytes(models.unsigned_model())
    with pytest.raises(SourceError, match="no signature first; it has none"):
        locate(replace(spec, signature="first"))


def test_the_graphs_that_a_signature_calls_come_along() -> None:
    """Two functions, each with a loop of its own; the second is chosen and all is renumbered."""
    data = _with_loops()
    kept = with_signature(data, "second")
    model = flatbuffer.unpack(kept)
    assert [flatbuffer.text(graph.name) for graph in model.subgraphs] == ["main2", "cond2", "body2"]
    x = np.array([1.0], np.float32)
    found = LiteRTSession(data, signature="second").run({"x": x})["y"]
    np.testing.assert_array_equal(LiteRTSession(kept).run({"x": x})["y"], found)
    assert found > 100
    model.subgraphs = model.subgraphs[:2]
    model.signatureDefs += flatbuffer.unpack(data).signatureDefs[:1]
    with pytest.raises(SourceError, match=r"damaged: a graph that signature second calls"):
        with_signature(flatbuffer.pack(model), "second")


def _with_loops() -> bytes:
    graphs = []
    for number, factor in ((1, 2.0), (2, 3.0)):
        main, cond, body = models.Graph(), models.Graph(), models.Graph()
        x, y = main.tensor("x", (1,)), main.tensor("y", (1,))
        called = 3 * (number - 1)
        main.operator(
            "WHILE",
            [x],
            [y],
            table="WhileOptions",
            condSubgraphIndex=called + 1,
            bodySubgraphIndex=called + 2,
        )
        main.inputs, main.outputs = {"x": x}, {"y": y}
        value, limit = cond.tensor("v", (1,)), cond.tensor("l", (1,), data=np.array([100.0]))
        less = cond.tensor("less", (1,))
        cond.operator("LESS", [value, limit], [less], table="LessOptions")
        cond.inputs, cond.outputs = {"v": value}, {"less": less}
        value, by = body.tensor("v", (1,)), body.tensor("by", (1,), data=np.array([factor]))
        product = body.tensor("p", (1,))
        body.operator("MUL", [value, by], [product], table="MulOptions")
        body.inputs, body.outputs = {"v": value}, {"p": product}
        graphs += [main, cond, body]
    model = flatbuffer.unpack(models.write(graphs, {"first": 0, "second": 3}))
    names = [f"{what}{number}" for number in (1, 2) for what in ("main", "cond", "body")]
    for graph, name in zip(model.subgraphs, names, strict=True):
        graph.name = name.encode()
        if name.startswith("cond"):
            graph.tensors[graph.outputs[0]].type = flatbuffer.schema().TensorType.BOOL
    return flatbuffer.pack(model)


def test_metadata_stays_with_the_function_it_describes() -> None:
    said = ModelMetadata(
        "both", inputs=(TensorMetadata("x"),), outputs=(TensorMetadata("scores", labels=("a",)),)
    )
    data = with_metadata(models.two_signature_model(), said)
    assert read_metadata(with_signature(data, "first")) == said
    assert read_metadata(with_signature(data, "second")) is None


# Sizes that the file leaves open -----------------------------------------------------------------


def test_what_is_made_of_a_file_is_in_the_cache_that_was_given(
    spec: ModelSpec, file: Path, tmp_path: Path
) -> None:
    file.write_bytes(models.two_signature_model())
    source = locate(replace(spec, signature="second"), cache=Cache(tmp_path / "own"))
    assert source.files["model"].is_relative_to(tmp_path / "own")


@pytest.mark.parametrize("batch", [1, 3])
def test_an_open_batch_is_the_recipes(spec: ModelSpec, file: Path, batch: int) -> None:
    file.write_bytes(models.free_batch_model())
    shape = (batch, *models.INPUT_SHAPE[1:])
    source = locate(replace(spec, inputs=(replace(X, shape=shape),)))
    with source.open_session(1) as session:
        assert session.info.inputs[0].shape == shape
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = session.run({"x": x})["scores"]
    np.testing.assert_allclose(found, models.reference(x, models.weights()), rtol=1e-4, atol=1e-5)
    with pytest.raises(SourceError, match=r"has x \[3, 4, 4, 3\] float32"):
        locate(replace(spec, inputs=(replace(X, shape=(3, 8, 4, 3)),)))


# What must not take edgekit down -----------------------------------------------------------------


def test_a_file_that_crashes_the_interpreter(spec: ModelSpec, file: Path) -> None:
    file.write_bytes(models.crashing_model())
    crashing = replace(X, shape=(1, 4, 4, 4))
    with pytest.raises(SourceError, match=r"model\.tflite does not run: the interpreter crashed"):
        locate(replace(spec, inputs=(crashing,), outputs=("y",)))


def test_an_operator_of_nobodys(spec: ModelSpec, file: Path) -> None:
    model = flatbuffer.unpack(models.float_model())
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode = b"MyConv"
    model.subgraphs[0].operators[0].builtinOptionsType = 0
    model.subgraphs[0].operators[0].builtinOptions = None
    file.write_bytes(flatbuffer.pack(model))
    with pytest.raises(SourceError, match=r"custom operators: MyConv at hidden") as caught:
        locate(spec)
    assert "built-in" in str(caught.value.hint)


@pytest.mark.parametrize(("end", "name"), [("inputs", "input x"), ("outputs", "output scores")])
def test_texts_are_no_numbers(spec: ModelSpec, file: Path, end: str, name: str) -> None:
    model = flatbuffer.unpack(models.float_model())
    graph = model.subgraphs[0]
    graph.tensors[getattr(graph, end)[0]].type = flatbuffer.schema().TensorType.STRING
    file.write_bytes(flatbuffer.pack(model))
    with pytest.raises(SourceError, match=f"{name} of .* holds string values"):
        locate(spec)


def test_damaged_metadata_is_said_before_anything_runs(spec: ModelSpec, file: Path) -> None:
    said = ModelMetadata(inputs=(TensorMetadata(),), outputs=(TensorMetadata(labels=("a",)),))
    data = with_metadata(models.float_model(), said)
    file.write_bytes(data[: data.index(b"PK")])
    with pytest.raises(SourceError, match=r"the metadata of .* is damaged: its file labels\.txt"):
        locate(spec)


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """``data`` cut short, or with a few bytes flipped."""
    if rng.random() < 0.5:
        return data[: rng.integers(0, len(data))]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        changed[rng.integers(0, len(data))] ^= int(rng.integers(1, 256))
    return bytes(changed)


def test_damage_is_a_source_error_or_another_graph() -> None:
    rng = np.random.default_rng(0)
    data = models.float_model()
    for _ in range(400):
        with suppress(SourceError):
            made = damaged(rng, data)
            parse_graph(made)
            with_signature(made, "serving_default")
