"""Exact rewrites: the float function stays what it was. What INT8 makes of them is tested with
the method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.rewrite import rewrite_for_int8, with_hard_swish_in_parts
from tests import tflite_models as models
from tests.tflite import graphs

KINDS = [
    ("LEAKY_RELU", 0.0),
    ("LEAKY_RELU", 0.1),
    ("LEAKY_RELU", 1.0),
    ("LEAKY_RELU", 1.7),
    ("LEAKY_RELU", -0.4),
    ("PRELU", [[[0.1, 0.6]]]),
    ("PRELU", [[[-0.3, 1.5]]]),
    ("PRELU", [[[0.25]]]),
    ("PRELU", [0.25]),
    ("RELU6", None),
    ("RELU_N1_TO_1", None),
]
# Subnormal numbers aside, which the runtime may take for zero.
size = st.floats(2.0**-100, 2.0**14, width=32)
finite = size | size.map(lambda value: -value) | st.just(0.0)


def _alone(kind: str, alpha: Any, shape: tuple[int, ...]) -> bytes:
    """The activation and nothing else, so that its inputs are exactly those we choose."""
    graph = models.Graph()
    x, y = graph.tensor("x", shape), graph.tensor("y", shape)
    if kind == "PRELU":
        slope = graph.tensor("slope", np.shape(alpha), data=np.asarray(alpha, np.float32))
        graph.operator(kind, [x, slope], [y])
    elif kind == "LEAKY_RELU":
        graph.operator(kind, [x], [y], table="LeakyReluOptions", alpha=alpha)
    else:
        graph.operator(kind, [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph], {"s": 0})


def _answer(data: bytes, x: models.Array) -> dict[str, models.Array]:
    with LiteRTSession(data) as session:
        return session.run({"x": x})


@pytest.mark.parametrize(("kind", "alpha"), KINDS)
@settings(max_examples=25)
@given(x=hnp.arrays(np.float32, (1, 2, 2, 2), elements=finite))
def test_the_function_is_the_same_to_the_last_bit(kind: str, alpha: Any, x: models.Array) -> None:
    data = _alone(kind, alpha, x.shape)
    rewritten, lines = rewrite_for_int8(data)
    assert lines == (f"{kind} at y",)
    before, after = _answer(data, x)["y"], _answer(rewritten, x)["y"]
    assert np.array_equal(before, after)  # equal bits, but for the sign of zero


@pytest.mark.parametrize(("kind", "alpha"), KINDS)
def test_no_such_operator_is_left_and_the_model_answers_the_same(kind: str, alpha: Any) -> None:
    data = graphs.activated(kind, alpha)
    rewritten, _ = rewrite_for_int8(data)
    names = [op.name for op in parse_graph(rewritten).ops]
    assert kind not in names
    assert {"MAXIMUM", "ADD", "MUL"} & set(names)
    x = np.random.default_rng(3).normal(size=models.INPUT_SHAPE).astype(np.float32)
    before, after = _answer(data, x), _answer(rewritten, x)
    assert before.keys() == after.keys() == {"act", "scores"}
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-6, atol=1e-6)


def test_nothing_to_rewrite_gives_the_same_bytes() -> None:
    data = models.float_model()
    assert rewrite_for_int8(data) == (data, ())


def test_a_slope_computed_at_run_time_is_left_alone() -> None:
    graph = models.Graph()
    x, slope = graph.tensor("x", (1, 4, 4, 2)), graph.tensor("slope", (1, 1, 2))
    y = graph.tensor("y", (1, 4, 4, 2))
    graph.operator("PRELU", [x, slope], [y])
    graph.inputs, graph.outputs = {"x": x, "slope": slope}, {"y": y}
    data = models.write([graph], {"s": 0})
    assert rewrite_for_int8(data) == (data, ())


def test_a_scalar_can_be_rewritten() -> None:
    rewritten, lines = rewrite_for_int8(_alone("LEAKY_RELU", 0.5, ()))
    assert len(lines) == 1
    assert _answer(rewritten, np.array(-3, np.float32))["y"].item() == -1.5


def test_a_free_batch_stays_free() -> None:
    data = graphs.activated("PRELU", [[[0.1, 0.6]]], free_batch=True)
    rewritten, _ = rewrite_for_int8(data)
    x = np.random.default_rng(3).normal(size=(3, *models.INPUT_SHAPE[1:])).astype(np.float32)
    before, after = _answer(data, x), _answer(rewritten, x)
    assert after["act"].shape == (3, 4, 4, 2)
    assert np.array_equal(before["act"], after["act"])
    scaled = next(t for t in parse_graph(rewritten).tensors if t.name == "act/scaled")
    assert scaled.free_axes == (0,)


def test_a_file_with_the_old_operator_field_alone_is_rewritten_right() -> None:
    """Before 2020 the 32-bit field was not there: it reads 0, which now means ADD."""
    model = unpack(graphs.activated("PRELU", [[[0.1, 0.6]]]))
    for code in model.operatorCodes:
        assert code.builtinCode < 127
        code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0
    rewritten, _ = rewrite_for_int8(pack(model))
    names = [op.name for op in parse_graph(rewritten).ops]
    assert names == ["CONV_2D", "RELU", "MUL", "RELU", "MUL", "ADD", "FULLY_CONNECTED"]


@settings(max_examples=25)
@given(x=hnp.arrays(np.float32, (1, 2, 2, 2), elements=finite))
def test_a_hard_swish_in_parts_is_the_same_but_for_rounding(x: models.Array) -> None:
    data = _alone("HARD_SWISH", None, x.shape)
    in_parts, parts = with_hard_swish_in_parts(data, ["y"])
    graph = parse_graph(in_parts)
    assert [op.name for op in graph.ops] == ["ADD", "MUL", "MUL"]
    assert [graph.layer(op) for op in graph.ops] == [*parts, "y"]
    # 3 + x keeps x to half a last bit of 3, and both are scaled by at most 1.
    allowed = 1e-6 * np.abs(x) + 1e-6
    assert (np.abs(_answer(in_parts, x)["y"] - _answer(data, x)["y"]) <= allowed).all()


def test_what_a_hard_swish_in_parts_adds_stays_between_its_limits() -> None:
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 2001)), graph.tensor("y", (1, 2001))
    graph.operator("HARD_SWISH", [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    data, parts = with_hard_swish_in_parts(models.write([graph], {"s": 0}), ["y"])
    model = unpack(data)
    names = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    model.subgraphs[0].outputs = [names.index(name) for name in parts]
    model.signatureDefs = []
    with LiteRTSession(pack(model)) as session:
        found = session.run({"x": np.linspace(-10, 10, 2001, dtype=np.float32)[None]})
    for name, (low, high) in parts.items():
        np.testing.assert_allclose([found[name].min(), found[name].max()], [low, high], rtol=1e-6)


def test_only_the_layers_named_are_taken_to_parts() -> None:
    data = graphs.activated("HARD_SWISH")
    assert with_hard_swish_in_parts(data, ["scores"]) == (data, {})
    in_parts, parts = with_hard_swish_in_parts(data, ["act", "scores"])
    assert "HARD_SWISH" not in [op.name for op in parse_graph(in_parts).ops]
    assert parts == {"act/shifted": (0.0, 6.0), "act/gate": (0.0, 1.0)}
