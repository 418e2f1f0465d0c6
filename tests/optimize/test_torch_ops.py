"""Every rule computes what LiteRT computes: several samples at once here, one at a time there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ConversionError
from edgekit.optimize.torch_graph import load_torch_graph
from edgekit.optimize.torch_ops import RULES
from edgekit.runtimes.litert import LiteRTSession
from tests.optimize.cases import (
    Case,
    case,
    convolutions,
    depthwise,
    normal,
    pool,
    sides,
    transposed,
    whole,
    windows,
)
from tests.tflite.graphs import conv_options, single

SAMPLES = 3


BOTH = ((1, 3, 4, 2), (1, 3, 4, 2))
IMAGE = (1, 5, 6, 3)
CUT = {
    "table": "StridedSliceOptions",
    "beginMask": 0,
    "endMask": 0,
    "ellipsisMask": 0,
    "newAxisMask": 0,
    "shrinkAxisMask": 0,
}
MIDDLES = {"halfPixelCenters": True}
NEAREST = "ResizeNearestNeighborOptions"
CASES = [
    case("CONV_2D", IMAGE, normal(4, 3, 2, 3), normal(4), **conv_options()),
    case("CONV_2D", IMAGE, normal(4, 3, 2, 3), normal(4), **conv_options(padding=1, strideH=2)),
    case("DEPTHWISE_CONV_2D", IMAGE, normal(1, 3, 3, 3), normal(3), **depthwise()),
    case("DEPTHWISE_CONV_2D", IMAGE, normal(1, 3, 2, 6), normal(6), **depthwise(2, strideW=2)),
    case(
        "TRANSPOSE_CONV",
        transposed(9, 12, 2),
        normal(2, 3, 3, 3),
        IMAGE,
        table="TransposeConvOptions",
        padding=0,
        strideH=2,
        strideW=2,
    ),
    case(
        "TRANSPOSE_CONV",
        transposed(11, 13, 2),
        normal(2, 3, 3, 3),
        IMAGE,
        normal(2),
        table="TransposeConvOptions",
        padding=1,
        strideH=2,
        strideW=2,
    ),
    case(
        "TRANSPOSE_CONV",
        transposed(10, 12, 2),
        normal(2, 2, 2, 3),
        IMAGE,
        normal(2),
        table="TransposeConvOptions",
        padding=0,
        strideH=2,
        strideW=2,
        fusedActivationFunction=1,
    ),
    case("FULLY_CONNECTED", (1, 7), normal(4, 7), normal(4), table="FullyConnectedOptions"),
    case("FULLY_CONNECTED", (1, 2, 3, 2), normal(4, 12), None, table="FullyConnectedOptions"),
    case(
        "FULLY_CONNECTED",
        (1, 5, 6),
        normal(4, 6),
        normal(4),
        table="FullyConnectedOptions",
        keepNumDims=True,
        fusedActivationFunction=3,
    ),
    case("BATCH_MATMUL", (1, 3, 4), (1, 4, 5), table="BatchMatMulOptions"),
    case("BATCH_MATMUL", (1, 2, 4, 3), (1, 2, 4, 5), table="BatchMatMulOptions", adjX=True),
    case("BATCH_MATMUL", (1, 3, 4), normal(5, 4), table="BatchMatMulOptions", adjY=True),
    case("BATCH_MATMUL", (1, 4), normal(4, 5), table="BatchMatMulOptions"),
    case("AVERAGE_POOL_2D", IMAGE, **pool(filterWidth=3)),
    case("AVERAGE_POOL_2D", IMAGE, **pool(padding=1, strideW=2, fusedActivationFunction=1)),
    case("MAX_POOL_2D", IMAGE, **pool(filterHeight=3, strideH=2)),
    case("MAX_POOL_2D", IMAGE, **pool(padding=1, fusedActivationFunction=3)),
    case("ADD", *BOTH, table="AddOptions"),
    case("ADD", (1, 4, 2), normal(2), table="AddOptions", fusedActivationFunction=1),
    case("ADD", (1, 4, 2), normal(1, 1, 2), table="AddOptions"),
    case("SUB", *BOTH, table="SubOptions", fusedActivationFunction=3),
    case("SUB", normal(2), (1, 4, 2), table="SubOptions"),
    case("MUL", *BOTH, table="MulOptions"),
    case("MUL", (1, 3, 4, 2), (1, 1, 1, 2), table="MulOptions"),
    case("DIV", *BOTH, low=0.5, table="DivOptions", fusedActivationFunction=3),
    case("MAXIMUM", *BOTH),
    case("MINIMUM", (1, 4, 2), normal(4, 2)),
    case("SQUARED_DIFFERENCE", *BOTH),
    case("POW", *BOTH, low=0.1, high=2.0),
    case("MEAN", IMAGE, whole(1, 2), table="ReducerOptions", keepDims=False),
    case("MEAN", IMAGE, whole(-1), table="ReducerOptions", keepDims=True),
    case("SUM", IMAGE, whole(3), table="ReducerOptions", keepDims=False),
    case("REDUCE_MAX", IMAGE, whole(1, -2), table="ReducerOptions", keepDims=True),
    case("REDUCE_MIN", IMAGE, np.array(2, np.int32), table="ReducerOptions", keepDims=False),
    case("RELU", IMAGE),
    case("RELU6", IMAGE, high=9.0),
    case("LOGISTIC", IMAGE),
    case("TANH", IMAGE),
    case("HARD_SWISH", IMAGE),
    case("ELU", IMAGE),
    case("EXP", IMAGE),
    case("LOG", IMAGE, low=0.1),
    case("ABS", IMAGE),
    case("NEG", IMAGE),
    case("SQRT", IMAGE, low=0.0),
    case("RSQRT", IMAGE, low=0.1),
    case("SQUARE", IMAGE),
    case("LEAKY_RELU", IMAGE, table="LeakyReluOptions", alpha=0.3),
    case("PRELU", IMAGE, normal(1, 1, 3)),
    case("PRELU", IMAGE, normal(3)),
    case("GELU", IMAGE, table="GeluOptions", approximate=True),
    case("GELU", IMAGE, table="GeluOptions", approximate=False),
    case("SOFTMAX", (1, 4, 6), table="SoftmaxOptions", beta=1.0),
    case("SOFTMAX", (1, 6), table="SoftmaxOptions", beta=0.5),
    case("RESHAPE", IMAGE, whole(1, 30, 3), table="ReshapeOptions", newShape=[1, 30, 3]),
    case("RESHAPE", IMAGE, whole(-1, 90), table="ReshapeOptions", newShape=[-1, 90]),
    case("RESHAPE", IMAGE, whole(1, -1), table="ReshapeOptions", newShape=[1, -1]),
    case("RESHAPE", IMAGE, table="ReshapeOptions", newShape=[1, 9, 10]),
    case("SQUEEZE", (1, 1, 4, 1), table="SqueezeOptions", squeezeDims=[1, -1]),
    case("EXPAND_DIMS", (1, 4), whole(1), table="ExpandDimsOptions"),
    case("EXPAND_DIMS", (1, 4), np.array(-1, np.int32), table="ExpandDimsOptions"),
    case("TRANSPOSE", IMAGE, whole(0, 3, 1, 2), table="TransposeOptions"),
    case("PAD", IMAGE, whole([0, 0], [1, 2], [0, 3], [0, 0]), table="PadOptions"),
    case("PAD", (1, 4), whole([0, 0], [2, 1]), table="PadOptions"),
    case(
        "PADV2",
        IMAGE,
        whole([0, 0], [1, 2], [0, 3], [0, 0]),
        np.array(-1.5, np.float32),
        table="PadV2Options",
    ),
    case("MIRROR_PAD", IMAGE, whole([0, 0], [1, 2], [0, 3], [0, 0]), table="MirrorPadOptions"),
    case(
        "MIRROR_PAD", IMAGE, whole([0, 0], [1, 2], [4, 3], [2, 1]), table="MirrorPadOptions", mode=1
    ),
    case(
        "SLICE",
        IMAGE,
        whole(0, 1, 2, 0),
        whole(1, 3, -1, 2),
        table="SliceOptions",
        shape=(1, 3, 4, 2),
    ),
    case("STRIDED_SLICE", IMAGE, whole(0, 1, 4, 0), whole(1, 5, 5, 3), whole(1, 2, 1, 1), **CUT),
    case(
        "STRIDED_SLICE",
        IMAGE,
        whole(0, 2, -3, 1),
        whole(0, -1, 0, 0),
        whole(1, 1, 2, 1),
        **{**CUT, "beginMask": 1, "endMask": 5, "shrinkAxisMask": 8},
    ),
    case("REVERSE_V2", IMAGE, whole(2), table="ReverseV2Options"),
    case("DEPTH_TO_SPACE", (1, 2, 3, 12), table="DepthToSpaceOptions", blockSize=2),
    case("SPACE_TO_DEPTH", (1, 4, 6, 3), table="SpaceToDepthOptions", blockSize=2),
    case("RESIZE_BILINEAR", IMAGE, whole(10, 9), table="ResizeBilinearOptions", alignCorners=True),
    case("RESIZE_BILINEAR", IMAGE, whole(3, 9), table="ResizeBilinearOptions", **MIDDLES),
    case("RESIZE_NEAREST_NEIGHBOR", IMAGE, whole(10, 9), table=NEAREST),
    case("RESIZE_NEAREST_NEIGHBOR", IMAGE, whole(10, 9), table=NEAREST, **MIDDLES),
    case("CONCATENATION", (1, 4, 2), (1, 4, 3), table="ConcatenationOptions", axis=-1),
    case(
        "CONCATENATION",
        (1, 4, 2),
        normal(1, 1, 2),
        table="ConcatenationOptions",
        axis=1,
    ),
]


def assert_alike(made: Case) -> None:
    """Torch on several samples at once and LiteRT on one after the other, within 1e-5."""
    data = single(made.kind, made.operands, **made.options)
    graph = load_torch_graph(data)
    random = np.random.default_rng(7)
    feeds = {
        name: random.uniform(
            made.low, made.high, (SAMPLES, *graph.graph.tensors[index].shape[1:])
        ).astype(np.float32)
        for index, name in zip(graph.graph.inputs, graph.graph.input_names, strict=True)
    }
    (found,) = graph.run(
        {i: torch.from_numpy(feeds[name]) for i, name in _named_inputs(graph)}
    ).values()
    with LiteRTSession(data) as session:
        wanted = np.concatenate(
            [session.run({n: x[i : i + 1] for n, x in feeds.items()})["y"] for i in range(SAMPLES)]
        )
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def _named_inputs(graph: Any) -> list[tuple[int, str]]:
    return list(zip(graph.graph.inputs, graph.graph.input_names, strict=True))


@pytest.mark.parametrize("made", CASES, ids=str)
def test_a_rule_computes_what_litert_computes(made: Case) -> None:
    assert_alike(made)


def test_every_rule_has_a_case() -> None:
    assert {made.kind for made in CASES} == RULES.keys()


@settings(max_examples=120)
@given(convolutions())
def test_convolutions_of_any_shape(made: Case) -> None:
    assert_alike(made)


@settings(max_examples=50)
@given(
    st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
    windows,
    st.tuples(sides, sides),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_pools_of_any_shape(
    kind: str, options: dict[str, Any], window: tuple[int, int], more: tuple[int, int]
) -> None:
    size = [n + extra for n, extra in zip(window, more, strict=True)]
    told = pool(filterHeight=window[0], filterWidth=window[1], **options)
    assert_alike(case(kind, (1, *size, 2), **told))


@settings(max_examples=40)
@given(windows, st.tuples(sides, sides), st.tuples(sides, sides), st.booleans())
def test_transposed_convolutions_of_any_shape(
    options: dict[str, Any], window: tuple[int, int], size: tuple[int, int], biased: bool
) -> None:
    """To each of the sizes that a convolution back would make ``size`` of."""
    strides = options["strideH"], options["strideW"]
    parts = list(zip(size, window, strides, strict=True))
    if options["padding"] == 0:
        height, width = (n * stride for n, _, stride in parts)
    else:
        height, width = ((n - 1) * stride + length for n, length, stride in parts)
    bias = [normal(2, seed=1)] if biased else []
    told = {**options, "fusedActivationFunction": options["fusedActivationFunction"] * biased}
    operands = (transposed(height, width, 2), normal(2, *window, 3), (1, *size, 3), *bias)
    assert_alike(case("TRANSPOSE_CONV", *operands, table="TransposeConvOptions", **told))


TOUCHING = [
    case("MEAN", IMAGE, whole(0), table="ReducerOptions", keepDims=True),
    case("MEAN", IMAGE, whole(0, 1), table="ReducerOptions", keepDims=False),
    case("SUM", IMAGE, whole(-4), table="ReducerOptions", keepDims=True),
    case("RESHAPE", IMAGE, whole(5, 18), table="ReshapeOptions", newShape=[5, 18]),
    case("RESHAPE", IMAGE, whole(-1, 3), table="ReshapeOptions", newShape=[-1, 3]),
    case("SQUEEZE", (1, 1, 4), table="SqueezeOptions", squeezeDims=[0]),
    case("SQUEEZE", (1, 1, 4), table="SqueezeOptions"),
    case("EXPAND_DIMS", (1, 4), whole(0), table="ExpandDimsOptions"),
    case("TRANSPOSE", (1, 4, 1), whole(2, 1, 0), table="TransposeOptions"),
    case("PAD", (1, 4), whole([1, 0], [0, 0]), table="PadOptions"),
    case("MIRROR_PAD", (3, 4), whole([1, 0], [0, 0]), table="MirrorPadOptions"),
    case("SLICE", (3, 4), whole(1, 0), whole(2, 4), table="SliceOptions", shape=(2, 4)),
    case("SLICE", (3, 4), whole(0, 0), whole(2, 4), table="SliceOptions", shape=(2, 4)),
    case("STRIDED_SLICE", (3, 4), whole(1, 0), whole(3, 4), whole(1, 1), **CUT),
    case("REVERSE_V2", (1, 4), whole(0), table="ReverseV2Options"),
    case("CONCATENATION", (1, 4), (1, 4), table="ConcatenationOptions", axis=0),
    case("ADD", (1, 5), normal(3, 5), table="AddOptions"),
    case("ADD", (1, 5), (1, 3, 5), table="AddOptions"),
    case("MUL", (1, 5), normal(1, 3, 5), table="MulOptions"),
    case("PRELU", (1, 5), normal(3, 5)),
    case("SOFTMAX", (1,), table="SoftmaxOptions", beta=1.0),
    case("FULLY_CONNECTED", (1, 3, 4), normal(5, 4), None, table="FullyConnectedOptions"),
    case("FULLY_CONNECTED", (1, 4), (1, 4), None, table="FullyConnectedOptions"),
    case("BATCH_MATMUL", (1, 4), (1, 4), table="BatchMatMulOptions", adjY=True),
    case("BATCH_MATMUL", (1, 4), normal(1, 3), table="BatchMatMulOptions", adjX=True),
    case("BATCH_MATMUL", (1, 2, 3, 4), (1, 4, 5), table="BatchMatMulOptions"),
    case("BATCH_MATMUL", (1, 3, 4), normal(2, 4, 5), table="BatchMatMulOptions"),
]


@pytest.mark.parametrize("made", TOUCHING, ids=str)
def test_what_touches_the_samples_is_refused_by_name(made: Case) -> None:
    """With as many samples as the operand that they could be mistaken for."""
    data = single(made.kind, made.operands, **made.options)
    with pytest.raises(ConversionError, match=rf"{made.kind} at y cannot be computed in torch: "):
        _run_on_zeros(data)


def _run_on_zeros(data: bytes) -> None:
    graph = load_torch_graph(data)
    shapes = {i: graph.graph.tensors[i].shape for i in graph.graph.inputs}
    graph.run({i: torch.zeros(SAMPLES, *shape[1:]) for i, shape in shapes.items()})


@pytest.mark.parametrize(("number", "name"), [(4, "TANH"), (5, "SIGN_BIT")])
def test_a_fused_activation_that_litert_ignores_is_refused(number: int, name: str) -> None:
    data = single("ADD", BOTH, table="AddOptions", fusedActivationFunction=number)
    graph = load_torch_graph(data)
    with pytest.raises(ConversionError, match=f"ADD at y cannot be computed in torch: .*{name}"):
        graph.run({index: torch.zeros(BOTH[0]) for index in graph.graph.inputs})


def test_a_free_batch_is_computed_alike() -> None:
    data = single(
        "MEAN", [IMAGE, whole(1, 2)], signatures=[(-1, *IMAGE[1:])], table="ReducerOptions"
    )
    graph = load_torch_graph(data)
    x = normal(SAMPLES, *IMAGE[1:])
    (found,) = graph.run({graph.graph.inputs[0]: torch.from_numpy(x)}).values()
    np.testing.assert_allclose(found.numpy(), x.mean((1, 2)), rtol=1e-5, atol=1e-6)
