"""What is known to be hard on INT8 is found in the float graph, however it is spelled out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.tflite.hard_cases import HardCase, few_step_share, hard_cases
from tests import tflite_models as models
from tests.tflite import graphs

SHAPE = (1, 4, 4, 8)
Build = Callable[[models.Graph, int], int]


def kinds(data: bytes) -> dict[str, tuple[str, ...]]:
    return {case.kind: case.layers for case in hard_cases(data)}


def op(graph: models.Graph, name: str, inputs: list[int], out: str, **options: object) -> int:
    shape = options.pop("shape", SHAPE)
    made = graph.tensor(out, shape)  # type: ignore[arg-type]
    graph.operator(name, inputs, [made], **options)
    return made


def constant(graph: models.Graph, name: str, value: float) -> int:
    return graph.tensor(name, (1,), data=np.array([value], np.float32))


def network(build: Build) -> bytes:
    """``build`` between an input and a last RELU."""
    graph = models.Graph()
    x = graph.tensor("x", SHAPE)
    inner = build(graph, x)
    y = graph.tensor("y", graph.tensors[inner].shape)
    graph.operator("RELU", [inner], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph], {"serving_default": 0})


def mul(graph: models.Graph, a: int, b: int, out: str) -> int:
    return op(graph, "MUL", [a, b], out, table="MulOptions")


def hard_swish_operator(graph: models.Graph, x: int) -> int:
    return op(graph, "HARD_SWISH", [x], "gated")


def hard_swish_of_parts(graph: models.Graph, x: int) -> int:
    total = op(graph, "ADD", [x, constant(graph, "three", 3)], "total", table="AddOptions")
    clamped = op(graph, "RELU6", [total], "clamped")
    gate = mul(graph, clamped, constant(graph, "sixth", 1 / 6), "gate")
    return mul(graph, x, gate, "gated")


def hard_swish_fused(graph: models.Graph, x: int) -> int:
    three = constant(graph, "three", 3)
    clamped = op(graph, "ADD", [x, three], "clamped", table="AddOptions", fusedActivationFunction=3)
    product = mul(graph, clamped, x, "gated")
    return mul(graph, product, constant(graph, "sixth", 1 / 6), "scaled")


def swish(graph: models.Graph, x: int) -> int:
    return mul(graph, op(graph, "LOGISTIC", [x], "sigmoid"), x, "gated")


def gate_behind_pool(graph: models.Graph, x: int, *, weighted: bool = True) -> int:
    axes = graph.tensor("axes", (2,), "int32", np.array([1, 2]))
    one = (1, 1, 1, 8)
    gate = op(graph, "MEAN", [x, axes], "pool", table="ReducerOptions", keepDims=True, shape=one)
    if weighted:
        kernel = graph.tensor("kernel", (8, 1, 1, 8), data=np.ones((8, 1, 1, 8), np.float32))
        bias = graph.tensor("bias", (8,), data=np.zeros(8, np.float32))
        gate = op(graph, "CONV_2D", [gate, kernel, bias], "fc", shape=one, **graphs.conv_options())
    return mul(graph, x, op(graph, "LOGISTIC", [gate], "sigmoid", shape=one), "gated")


def inner_softmax(graph: models.Graph, x: int) -> int:
    return op(graph, "SOFTMAX", [x], "gated", table="SoftmaxOptions", beta=1.0)


def layer_norm(graph: models.Graph, x: int) -> int:
    axes = graph.tensor("axes", (1,), "int32", np.array([3]))
    one, options = (1, 4, 4, 1), {"table": "ReducerOptions", "keepDims": True}
    mean = op(graph, "MEAN", [x, axes], "mean", shape=one, **options)
    square = op(graph, "SQUARED_DIFFERENCE", [x, mean], "square")
    variance = op(graph, "MEAN", [square, axes], "variance", shape=one, **options)
    small = constant(graph, "small", 1e-5)
    total = op(graph, "ADD", [variance, small], "total", table="AddOptions", shape=one)
    root = op(graph, "RSQRT", [total], "gated", shape=one)
    return mul(graph, op(graph, "SUB", [x, mean], "centred", table="SubOptions"), root, "normed")


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (hard_swish_operator, "hard-swish"),
        (hard_swish_of_parts, "hard-swish"),
        (hard_swish_fused, "hard-swish"),
        (swish, "swish"),
        (gate_behind_pool, "squeeze-excite"),
        (inner_softmax, "softmax inside the graph"),
        (layer_norm, "layer norm or another root of squares"),
    ],
)
def test_each_kind_is_found_alone_and_at_its_layer(build: Build, kind: str) -> None:
    assert kinds(network(build)) == {kind: ("gated",)}


def test_a_gate_without_weights_is_no_squeeze_excite() -> None:
    assert kinds(network(lambda graph, x: gate_behind_pool(graph, x, weighted=False))) == {}


def test_a_softmax_that_is_the_answer_is_fine() -> None:
    assert kinds(graphs.activated("SOFTMAX", table="SoftmaxOptions", beta=1.0)) == {
        "softmax inside the graph": ("act",)  # an output too, but read on
    }
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 8)), graph.tensor("y", (1, 8))
    flat = graph.tensor("flat", (8,))
    graph.operator("SOFTMAX", [x], [y], table="SoftmaxOptions", beta=1.0)
    graph.operator("RESHAPE", [y], [flat], table="ReshapeOptions", newShape=[8])
    graph.inputs, graph.outputs = {"x": x}, {"flat": flat}
    assert kinds(models.write([graph])) == {}


def test_plain_networks_have_none() -> None:
    assert hard_cases(graphs.chain()) == ()
    assert hard_cases(models.float_model()) == ()


def depthwise(widths: list[float]) -> bytes:
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 4, 4, len(widths))), graph.tensor("y", (1, 4, 4, len(widths)))
    values = np.ones((1, 3, 3, len(widths)), np.float32) * np.array(widths, np.float32)
    kernel = graph.tensor("kernel", values.shape, data=values)
    bias = graph.tensor("bias", (len(widths),), data=np.zeros(len(widths), np.float32))
    options = graphs.conv_options(depthMultiplier=1) | {"table": "DepthwiseConv2DOptions"}
    graph.operator("DEPTHWISE_CONV_2D", [x, kernel, bias], [y], **options)
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph])


@pytest.mark.parametrize(
    ("widths", "hard"),
    [
        ([1.0] * 8, False),
        ([1.0] * 9 + [0.1], False),
        ([1.0] * 6 + [0.01, 0.02], True),
        ([1.0] * 6 + [0.0, 0.0], False),  # dead channels need no steps
        ([1.0] * 19 + [0.01], False),  # one of twenty
    ],
)
def test_depthwise_channels_of_very_different_size(widths: list[float], hard: bool) -> None:
    assert kinds(depthwise(widths)) == ({"wide depthwise ranges": ("y",)} if hard else {})


def test_all_channels_dead_is_no_division_by_zero() -> None:
    assert few_step_share(np.zeros((1, 3, 3, 4), np.float32)) == 0


def test_a_case_is_one_line_with_a_few_names() -> None:
    case = HardCase("swish", ("a", "b", "c", "d"), "it is hard", "do this")
    assert str(case) == "swish in 4 layers (a, b, c, ...): it is hard; do this"
    assert str(HardCase("swish", ("a",), "w", "d")) == "swish in 1 layer (a): w; d"
