"""The rules of the GPU delegate, one operator at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.tflite.delegates import gpu, predict_delegate
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.tflite.delegates.single import DEPTHWISE, IMAGE, POOL, ints, reason, single
from tests.tflite.graphs import conv_options

PADS = np.zeros((4, 2), np.int32)
FILTER, BIAS = np.ones((4, 3, 3, 8), np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("name", "operands", "outputs", "options"),
    [
        ("LOGISTIC", [IMAGE], [IMAGE], {}),
        ("AVERAGE_POOL_2D", [IMAGE], [(1, 2, 2, 8)], POOL),
        ("MEAN", [IMAGE, ints(1, 2)], [(1, 8)], {"table": "ReducerOptions"}),
        ("PAD", [IMAGE, PADS], [IMAGE], {"table": "PadOptions"}),
        ("ADD", [IMAGE, IMAGE], [IMAGE], {"table": "AddOptions"}),
        ("ADD", [IMAGE, (4, 4, 8)], [IMAGE], {"table": "AddOptions"}),
        ("CONV_2D", [IMAGE, FILTER, BIAS], [(1, 4, 4, 4)], conv_options()),
        ("DEPTHWISE_CONV_2D", [IMAGE, np.ones((1, 3, 3, 8), np.float32)], [IMAGE], DEPTHWISE),
    ],
)
def test_taken_in_float_and_in_int8(
    name: str, operands: list[Any], outputs: list[Any], options: dict[str, Any], dtype: str
) -> None:
    assert reason(gpu.why_not, single(name, operands, outputs, dtype, **options)) is None


@pytest.mark.parametrize(
    ("name", "operands", "outputs", "options", "words"),
    [
        ("SQUEEZE", [(1, 1, 1, 8)], [(1, 8)], {"table": "SqueezeOptions"}, "no such operator"),
        ("SOFTMAX", [(1, 8)], [(1, 8)], {"table": "SoftmaxOptions", "beta": 2.0}, "beta 2 is not"),
        ("PAD", [(1, 8), np.zeros((2, 2), np.int32)], [(1, 8)], {}, "three or four axes"),
        ("MEAN", [(1, 8), (1,)], [(1, 8)], {"table": "ReducerOptions"}, "takes one input"),
        (
            "ADD",
            [(2, 4, 4, 8), (4, 8)],
            [(2, 4, 4, 8)],
            {"table": "AddOptions"},
            "cannot broadcast",
        ),
        ("MUL", [(1, 4, 1), (1, 1, 4)], [(1, 4, 4)], {"table": "MulOptions"}, "neither operand"),
        ("SLICE", [(1, 8), ints(0, 0), ints(1, 8)], [(1, 8)], {}, "three or four axes, not 2"),
        (
            "DEPTHWISE_CONV_2D",
            [IMAGE, np.ones((1, 3, 3, 16), np.float32)],
            [(1, 4, 4, 16)],
            DEPTHWISE | {"depthMultiplier": 2},
            "depth multiplier 2 on 8 channels",
        ),
        ("DEPTH_TO_SPACE", [IMAGE], [IMAGE], {"table": "DepthToSpaceOptions", "blockSize": 1}, "1"),
    ],
)
def test_left_with_a_reason(
    name: str, operands: list[Any], outputs: list[Any], options: dict[str, Any], words: str
) -> None:
    why = reason(gpu.why_not, single(name, operands, outputs, **options))
    assert why is not None
    assert words in why


def test_integers_that_are_no_quantized_values_are_left() -> None:
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 8), "int32"), graph.tensor("y", (1, 8), "int32")
    graph.operator("ABS", [x], [y])
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    assert reason(gpu.why_not, models.write([graph])) == "no int32 tensors"


def test_only_the_largest_partition_goes_to_the_gpu() -> None:
    graph = models.Graph()
    names = ("a", "b", "c", "d", "e")
    tensors = [graph.tensor(name, (1, 1, 1, 8)) for name in ("x", *names)]
    for position, kind in enumerate(("ABS", "L2_NORMALIZATION", "RELU", "TANH", "NEG")):
        graph.operator(kind, [tensors[position]], [tensors[position + 1]])
    graph.inputs, graph.outputs = {"x": tensors[0]}, {"y": tensors[-1]}
    plan = predict_delegate(parse_graph(models.write([graph])), "gpu")
    assert (plan.taken, plan.partitions) == (3, 1)
    assert [(place.op, place.why) for place in plan.left] == [
        ("ABS", "outside the largest partition, the only one it takes by default"),
        ("L2_NORMALIZATION", "no such operator in the GPU delegate"),
    ]
