"""Single operators of many shapes and options, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tests import tflite_models as models
from tests.tflite.graphs import conv_options

Array = npt.NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


@dataclass(frozen=True)
class Case:
    """``operands`` as ``single`` takes them; ``low`` and ``high`` bound what is fed."""

    kind: str
    operands: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    low: float = -4.0
    high: float = 4.0

    def __str__(self) -> str:
        shapes = [x if isinstance(x, tuple) else np.shape(x) for x in self.operands]
        told = "-".join(f"{k}={v}" for k, v in self.options.items() if k != "table")
        return f"{self.kind}-{'-'.join('x'.join(map(str, shape)) for shape in shapes)}-{told}"


def case(kind: str, *operands: Any, low: float = -4.0, high: float = 4.0, **options: Any) -> Case:
    return Case(kind, operands, options, low, high)


def pool(**options: Any) -> dict[str, Any]:
    plain = {"padding": 0, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    return {"table": "Pool2DOptions", **plain, **options}


def depthwise(multiplier: int = 1, **options: Any) -> dict[str, Any]:
    return {
        **conv_options(**options),
        "table": "DepthwiseConv2DOptions",
        "depthMultiplier": multiplier,
    }


def transposed(height: int, width: int, channels: int) -> Array:
    return whole(1, height, width, channels)


windows = st.fixed_dictionaries(
    {
        "padding": st.sampled_from([0, 1]),
        "strideH": st.integers(1, 3),
        "strideW": st.integers(1, 3),
        "fusedActivationFunction": st.sampled_from([0, 1, 2, 3]),
    }
)
sides = st.integers(1, 4)


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Any of both kinds, grouped or not, on images of any size that VALID leaves something of."""
    window, reach = (draw(sides), draw(sides)), (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    least = [(n - 1) * apart + 1 for n, apart in zip(window, reach, strict=True)]
    size = [n + draw(st.integers(0, 6)) for n in least]
    options = {**draw(windows), "dilationHFactor": reach[0], "dilationWFactor": reach[1]}
    groups, each, multiplier = draw(st.tuples(st.integers(1, 3), st.integers(1, 2), sides))
    if draw(st.booleans()):
        weights = normal(1, *window, groups * multiplier)
        kind, channels, told = "DEPTHWISE_CONV_2D", groups, depthwise(multiplier, **options)
    else:
        weights = normal(groups * multiplier, *window, each)
        kind, channels, told = "CONV_2D", groups * each, conv_options(**options)
    bias = normal(groups * multiplier, seed=1)
    return Case(kind, ((1, *size, channels), weights, bias), told)


def chained(seed: int = 0, *, outputs: int = 5, last_bias: bool = True) -> bytes:
    """A convolution with RELU6, one by groups, a depthwise one of two a channel, fully connected
    without a bias unless asked for."""
    random = np.random.default_rng(seed)
    graph = models.Graph()
    x = graph.tensor("x", (1, 9, 9, 3))
    a, b = graph.tensor("a", (1, 9, 9, 8)), graph.tensor("b", (1, 5, 5, 6))
    c, y = graph.tensor("c", (1, 5, 5, 12)), graph.tensor("y", (1, outputs))
    flat, shape = graph.tensor("flat", (1, 300)), np.array([1, 300])
    told = graph.tensor("told", (2,), "int32", shape)

    def constant(name: str, *size: int, by: float) -> int:
        return graph.tensor(name, size, data=random.normal(0, by, size))

    graph.operator(
        "CONV_2D",
        [x, constant("wa", 8, 3, 3, 3, by=0.4), constant("ba", 8, by=0.3)],
        [a],
        **conv_options(fusedActivationFunction=3),
    )
    graph.operator(
        "CONV_2D",
        [a, constant("wb", 6, 3, 3, 4, by=0.3), constant("bb", 6, by=0.3)],
        [b],
        **conv_options(strideH=2, strideW=2),
    )
    graph.operator(
        "DEPTHWISE_CONV_2D",
        [b, constant("wc", 1, 3, 3, 12, by=0.4), constant("bc", 12, by=0.3)],
        [c],
        **depthwise(2, fusedActivationFunction=1),
    )
    graph.operator("RESHAPE", [c, told], [flat], table="ReshapeOptions", newShape=[1, 300])
    bias = constant("by", outputs, by=0.3) if last_bias else -1
    graph.operator(
        "FULLY_CONNECTED",
        [flat, constant("wy", outputs, 300, by=0.1), bias],
        [y],
        table="FullyConnectedOptions",
    )
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph], {"serving_default": 0})
