"""The rules of the NNAPI delegate, one operator at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.tflite.delegates import nnapi, predict_delegate
from edgekit.tflite.graph import parse_graph
from tests.int8_models import quantized
from tests.tflite import graphs
from tests.tflite.delegates.single import DEPTHWISE, IMAGE, POOL, ints, reason, single
from tests.tflite.graphs import conv_options

FILTER, BIAS = np.ones((4, 3, 3, 8), np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("name", "operands", "outputs", "options"),
    [
        ("LOGISTIC", [IMAGE], [IMAGE], {}),
        ("AVERAGE_POOL_2D", [IMAGE], [(1, 2, 2, 8)], POOL),
        ("MEAN", [IMAGE, ints(1, 2)], [(1, 8)], {"table": "ReducerOptions"}),
        ("ADD", [IMAGE, IMAGE], [IMAGE], {"table": "AddOptions"}),
        ("CONV_2D", [IMAGE, FILTER, BIAS], [(1, 4, 4, 4)], conv_options()),
        ("PRELU", [IMAGE, np.ones((1, 1, 8), np.float32)], [IMAGE], {}),
    ],
)
def test_taken_in_float_and_in_int8(
    name: str, operands: list[Any], outputs: list[Any], options: dict[str, Any], dtype: str
) -> None:
    assert reason(nnapi.why_not, single(name, operands, outputs, dtype, **options)) is None


@pytest.mark.parametrize(
    ("name", "operands", "outputs", "options", "words"),
    [
        ("GELU", [IMAGE], [IMAGE], {}, "no such operator in NNAPI"),
        ("CONV_2D", [IMAGE, FILTER], [(1, 4, 4, 4)], conv_options(), "it has no bias"),
        (
            "CONV_2D",
            [IMAGE, FILTER, BIAS],
            [(1, 4, 4, 4)],
            conv_options() | {"version": 6},
            "version 6, and NNAPI knows 5",
        ),
        (
            "DEPTHWISE_CONV_2D",
            [IMAGE, np.ones((1, 3, 3, 8), np.float32)],
            [IMAGE],
            DEPTHWISE | {"version": 7},
            "version 7, and NNAPI knows 3",
        ),
        (
            "CONCATENATION",
            [IMAGE, IMAGE],
            [(1, 4, 4, 16)],
            {"table": "ConcatenationOptions", "axis": 3, "fusedActivationFunction": 1},
            "fused RELU",
        ),
        ("SUB", [(1,) * 5, (1,) * 5], [(1,) * 5], {"table": "SubOptions"}, "more than four axes"),
        ("TRANSPOSE", [(1, 8), (2,)], [(8, 1)], {"table": "TransposeOptions"}, "not constant"),
        ("MEAN", [(8,), ints(0)], [()], {"table": "ReducerOptions"}, "a single number"),
    ],
)
def test_left_with_a_reason(
    name: str, operands: list[Any], outputs: list[Any], options: dict[str, Any], words: str
) -> None:
    why = reason(nnapi.why_not, single(name, operands, outputs, **options))
    assert why is not None
    assert words in why


def test_div_and_abs_are_of_floats() -> None:
    div = single("DIV", [IMAGE, IMAGE], [IMAGE], "int8", table="DivOptions")
    assert reason(nnapi.why_not, div) == "takes no int8 here"
    assert reason(nnapi.why_not, single("ABS", [IMAGE], [IMAGE], "int8")) == "takes no int8 here"


def test_a_quantized_network_goes_in_whole() -> None:
    plan = predict_delegate(parse_graph(quantized(graphs.chain())), "nnapi")
    assert (plan.left, plan.partitions, plan.mac_fraction) == ((), 1, 1.0)
    assert "NNAPI 1.3" in plan.assumes
