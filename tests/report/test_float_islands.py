"""Islands of float operators, and the words for the whole file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.report.float_islands import FloatIsland, float_islands
from edgekit.report.model_kind import kind_in_words
from edgekit.types import ArtefactFormat, FileFacts, OperatorCompute, OperatorFact, TensorInfo
from tests.report.inspection_sample import FILE, OPERATORS, operator


def test_an_island_has_its_shores() -> None:
    assert float_islands(OPERATORS) == (
        FloatIsland(("PRELU",), ("act",), 0, enters=("act_in",), leaves=("act_out",)),
    )


def test_operators_that_connect_are_one_island_and_others_are_not() -> None:
    operators = [
        operator("A", "a", "float", "x"),
        operator("B", "b", "int8", "x"),
        operator("C", "c", "float", "a"),
        operator("D", "d", "float", "b"),
    ]
    assert [island.layers for island in float_islands(operators)] == [("a", "c"), ("d",)]


def test_two_branches_that_meet_are_one_island() -> None:
    meeting = OperatorFact("ADD", "sum", "float", "", 0, ("a", "b"), ("sum",))
    operators = [
        operator("A", "a", "float", "x"),
        operator("B", "b", "float", "x"),
        meeting,
        operator("I", "i", "int8", "sum"),
    ]
    assert [island.layers for island in float_islands(operators)] == [("a", "b", "sum")]


def test_a_float_file_has_no_islands() -> None:
    assert float_islands([operator("A", "a", "float", "x")]) == ()


def file_of(*computes: OperatorCompute, ends: tuple[str, str] = ("int8", "int8")) -> FileFacts:
    return replace(
        FILE,
        inputs=(TensorInfo("x", (1,), ends[0]),),
        outputs=(TensorInfo("y", (1,), ends[1]),),
        operators=tuple(
            operator("OP", f"layer{n}", compute, "x") for n, compute in enumerate(computes)
        ),
    )


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (file_of("int8", "integer"), "full-integer INT8"),
        (file_of("int8", ends=("uint8", "uint8")), "full-integer INT8 with uint8 input and output"),
        (
            file_of("conversion", "int8", ends=("float32", "float32")),
            "INT8 with float input and output",
        ),
        (file_of("int8", ends=("int8", "float32")), "INT8 with float output"),
        (
            file_of("int8", "float", "conversion"),
            "mixed INT8 and float: 1 of 2 operators float",
        ),
        (file_of("int16"), "full-integer INT8 weights with INT16 activations"),
        (
            file_of("int8 dynamic", "float"),
            "a dynamic-range model, not full-integer: 1 of 2 operators with INT8 weights and "
            "float activations",
        ),
        (
            file_of("int8 weights", "conversion"),
            "INT8 weights only, not full-integer: 1 of 1 operator unpack them and compute in float",
        ),
        (file_of("float"), "float32"),
        (file_of("integer"), "integers that are no quantized values"),
        (file_of(), "no operators that compute"),
    ],
)
def test_what_a_file_is_in_words(file: FileFacts, words: str) -> None:
    assert kind_in_words(file, ArtefactFormat.TFLITE) == words


def test_half_precision_weights() -> None:
    half = replace(operator("DEQUANTIZE", "w", "conversion", ""), dtypes="float16 -> float32")
    file = replace(FILE, operators=(half, operator("CONV_2D", "c", "float", "x")))
    assert kind_in_words(file, ArtefactFormat.TFLITE) == "float16 weights, computed in float32"


def test_onnx_says_how_its_integers_are_written() -> None:
    qdq = kind_in_words(file_of("int8"), ArtefactFormat.ONNX)
    assert qdq == "full-integer INT8, as QDQ (float operators between conversions)"
    linear = replace(file_of("int8"), operators=(operator("QLinearConv", "c", "int8", "x"),))
    assert kind_in_words(linear, ArtefactFormat.ONNX).endswith("as integer operators")
