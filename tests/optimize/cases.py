"""Single operators of many shapes and options, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

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
