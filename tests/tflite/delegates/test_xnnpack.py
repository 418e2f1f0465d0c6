"""The prediction for XNNPACK, held against what the installed runtime does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.tflite.delegates import predict_delegate, xnnpack
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tflite import graphs
from tests.tflite.delegates.single import (
    DEPTHWISE,
    IMAGE,
    POOL,
    TRANSPOSED,
    ints,
    reason,
    single,
)
from tests.tflite.graphs import conv_options

PADS = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LOGISTIC", "NEG"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "TANH", "LOG"),
    "SIGN",
)
BINARY = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
}
NOT_IN_INT8 = {"CEIL", "COS", "FLOOR", "ROUND", "SIN", "SQUARE"}
"""The runtime has no such kernel, so no such model loads."""


def strided(stride: int = 1, **masks: int) -> tuple[Any, ...]:
    size = 2 if stride == 1 else 4
    operands = [IMAGE, ints(0, 0, 0, 0), ints(1, size, size, 8), ints(1, stride, stride, 1)]
    return ("STRIDED_SLICE", operands, [(1, 2, 2, 8)], {"table": "StridedSliceOptions", **masks})


CASES: dict[str, tuple[Any, ...]] = {
    **{name: (name, [IMAGE], [IMAGE], {}) for name in UNARY},
    **{name: (name, [IMAGE, IMAGE], [IMAGE], {"table": table}) for name, table in BINARY.items()},
    "ADD, fused TANH": (
        "ADD", [IMAGE, IMAGE], [IMAGE], {"table": "AddOptions", "fusedActivationFunction": 4},
    ),
    "LEAKY_RELU": ("LEAKY_RELU", [IMAGE], [IMAGE], {"table": "LeakyReluOptions", "alpha": 0.1}),
    "AVERAGE_POOL_2D": ("AVERAGE_POOL_2D", [IMAGE], [(1, 2, 2, 8)], POOL),
    "MAX_POOL_2D": ("MAX_POOL_2D", [IMAGE], [(1, 2, 2, 8)], POOL),
    "MEAN": ("MEAN", [IMAGE, ints(1, 2)], [(1, 8)], {"table": "ReducerOptions"}),
    "SUM": ("SUM", [IMAGE, ints(3)], [(1, 4, 4)], {"table": "ReducerOptions"}),
    "REDUCE_MAX": ("REDUCE_MAX", [IMAGE, ints(1)], [(1, 4, 8)], {"table": "ReducerOptions"}),
    **{
        f"CONCATENATION of {count}": (
            "CONCATENATION", [IMAGE] * count, [(1, 4, 4, 8 * count)],
            {"table": "ConcatenationOptions", "axis": 3},
        )
        for count in (2, 5, 6)
    },
    **{
        f"SPLIT into {count}": (
            "SPLIT", [ints(3), IMAGE], [(1, 4, 4, 8 // count)] * count,
            {"table": "SplitOptions", "numSplits": count},
        )
        for count in (2, 4, 8)
    },
    **{
        f"SOFTMAX, beta {beta}": (
            "SOFTMAX", [(1, 8)], [(1, 8)],
            {"table": "SoftmaxOptions", "beta": beta, "out": models.Quant((1 / 256,), (-128,))},
        )
        for beta in (1.0, 2.0)
    },
    "PAD": ("PAD", [IMAGE, PADS], [(1, 6, 6, 8)], {"table": "PadOptions"}),
    "MIRROR_PAD": ("MIRROR_PAD", [IMAGE, PADS], [(1, 6, 6, 8)], {"table": "MirrorPadOptions"}),
    "RESHAPE": (
        "RESHAPE", [IMAGE, ints(1, 128)], [(1, 128)],
        {"table": "ReshapeOptions", "newShape": [1, 128]},
    ),
    "TRANSPOSE": (
        "TRANSPOSE", [IMAGE, ints(0, 3, 1, 2)], [(1, 8, 4, 4)], {"table": "TransposeOptions"},
    ),
    "EXPAND_DIMS": (
        "EXPAND_DIMS", [(1, 8), ints(1)], [(1, 1, 8)], {"table": "ExpandDimsOptions"},
    ),
    "RESIZE_BILINEAR": (
        "RESIZE_BILINEAR", [IMAGE, ints(8, 8)], [(1, 8, 8, 8)], {"table": "ResizeBilinearOptions"},
    ),
    "RESIZE_NEAREST_NEIGHBOR": (
        "RESIZE_NEAREST_NEIGHBOR", [IMAGE, ints(8, 8)], [(1, 8, 8, 8)],
        {"table": "ResizeNearestNeighborOptions"},
    ),
    "SLICE": (
        "SLICE", [IMAGE, ints(0, 0, 0, 0), ints(1, 2, 2, 8)], [(1, 2, 2, 8)],
        {"table": "SliceOptions"},
    ),
    "STRIDED_SLICE": strided(),
    "STRIDED_SLICE by 2": strided(stride=2),
    "STRIDED_SLICE, ellipsis": strided(ellipsisMask=1),
    "GATHER": (
        "GATHER", [IMAGE, ints(0, 1)], [(1, 2, 4, 8)], {"table": "GatherOptions", "axis": 1},
    ),
    "TILE": ("TILE", [IMAGE, ints(1, 1, 1, 2)], [(1, 4, 4, 16)], {}),
    "DEPTH_TO_SPACE": (
        "DEPTH_TO_SPACE", [IMAGE], [(1, 8, 8, 2)], {"table": "DepthToSpaceOptions", "blockSize": 2},
    ),
    "SPACE_TO_DEPTH": (
        "SPACE_TO_DEPTH", [IMAGE], [(1, 2, 2, 32)],
        {"table": "SpaceToDepthOptions", "blockSize": 2},
    ),
    "BATCH_MATMUL": (
        "BATCH_MATMUL", [(1, 4, 8), (1, 8, 4)], [(1, 4, 4)], {"table": "BatchMatMulOptions"},
    ),
}  # fmt: skip
WEIGHTED: dict[str, tuple[Any, ...]] = {
    "CONV_2D": ((4, 3, 3, 8), 4, (1, 4, 4, 4), conv_options()),
    "CONV_2D, fused TANH": (
        (4, 3, 3, 8), 4, (1, 4, 4, 4), conv_options(fusedActivationFunction=4),
    ),
    "DEPTHWISE_CONV_2D": ((1, 3, 3, 8), 8, IMAGE, DEPTHWISE),
    "FULLY_CONNECTED": ((5, 8), 5, (1, 5), {"table": "FullyConnectedOptions"}),
}  # fmt: skip


def really_taken(data: bytes) -> int:
    """How many times the runtime put its delegate in the place of operators."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    return sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        *((case, "float32") for case in CASES),
        *((case, "int8") for case in CASES if case not in NOT_IN_INT8),
    ],
)
def test_an_operator_is_taken_where_the_rules_say_so(case: str, dtype: str) -> None:
    name, operands, outputs, options = CASES[case]
    data = single(name, operands, outputs, dtype, **options)
    why = reason(xnnpack.why_not, data)
    assert (why is None) == (really_taken(data) == 1), why


@pytest.mark.parametrize("types", ["float32", "int8", "float32 with int8 weights"])
@pytest.mark.parametrize("case", WEIGHTED)
def test_a_layer_is_taken_where_the_rules_say_so(case: str, types: str) -> None:
    weights, bias, output, options = WEIGHTED[case]
    name = case.partition(",")[0]
    held = np.ones(weights, np.float32 if types == "float32" else np.int8)
    added = np.zeros(bias, np.int32 if types == "int8" else np.float32)
    source = (1, 8) if name == "FULLY_CONNECTED" else IMAGE
    data = single(name, [source, held, added], [output], types.split()[0], **options)
    why = reason(xnnpack.why_not, data)
    assert (why is None) == (really_taken(data) == 1), why


def test_dynamic_ranges_of_a_depthwise_layer_stay_behind() -> None:
    weights, bias = np.ones((1, 3, 3, 8), np.int8), np.zeros(8, np.float32)
    data = single("DEPTHWISE_CONV_2D", [IMAGE, weights, bias], [IMAGE], **DEPTHWISE)
    assert reason(xnnpack.why_not, data) == "no int8 weights with float activations"


def test_a_transposed_convolution_in_int8() -> None:
    operands = [ints(1, 8, 8, 4), np.ones((4, 2, 2, 8), np.int8), IMAGE]
    data = single("TRANSPOSE_CONV", operands, [(1, 8, 8, 4)], "int8", **TRANSPOSED)
    assert reason(xnnpack.why_not, data) is None
    assert really_taken(data) == 1


@pytest.mark.parametrize("data", [graphs.chain(), quantized(graphs.chain())])
def test_a_network_is_one_partition(data: bytes) -> None:
    plan = predict_delegate(parse_graph(data), "xnnpack")
    assert (plan.taken, plan.partitions, plan.left) == (len(plan.places), 1, ())
    assert plan.mac_fraction == 1
    assert really_taken(data) == 1


def test_an_operator_in_the_middle_makes_two_partitions() -> None:
    graph = models.Graph()
    x = graph.tensor("x", IMAGE)
    before, middle, after = (graph.tensor(name, IMAGE) for name in ("before", "middle", "after"))
    graph.operator("RELU", [x], [before])
    graph.operator("SIGN", [before], [middle])
    graph.operator("TANH", [middle], [after])
    graph.inputs, graph.outputs = {"x": x}, {"y": after}
    data = models.write([graph], {"serving_default": 0})
    plan = predict_delegate(parse_graph(data), "xnnpack")
    assert (plan.taken, plan.partitions, really_taken(data)) == (2, 2, 2)
    assert [(place.op, place.layer, place.why) for place in plan.left] == [
        ("SIGN", "middle", "no such operator in XNNPACK")
    ]


@pytest.mark.parametrize("kind", ["dynamic_wi8_afp32", "weight_only_wi8_afp32"])
def test_int8_weights_under_float_activations_are_one_partition_too(kind: str) -> None:
    from ai_edge_quantizer import recipe
    from ai_edge_quantizer.quantizer import Quantizer

    made = Quantizer(bytearray(graphs.chain()), getattr(recipe, kind)()).quantize()
    data = bytes(made.quantized_model)
    plan = predict_delegate(parse_graph(data), "xnnpack")
    assert (plan.left, plan.partitions, really_taken(data)) == ((), 1, 1)
