"""Other types for the ends of an INT8 model; signatures that point to the wrong tensors."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import SessionError
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.quantized_io import dequantize
from edgekit.tflite.ends import restore_signatures, with_end_types
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models


def _other_end() -> bytes:
    """The network's last tensor is doubled; the graph returns that, the signature the old one."""
    graph = models.float_graph(models.weights())
    doubled = graph.tensor("doubled", (1, models.CLASSES))
    graph.operator("ADD", [6, 6], [doubled], table="AddOptions")
    model = unpack(models.write([graph], {"serving_default": 0}))
    model.subgraphs[0].outputs = [doubled]
    return pack(model)


def test_the_signature_follows_the_graph() -> None:
    original = models.float_model()
    restored = restore_signatures(_other_end(), original)
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with LiteRTSession(original) as before, LiteRTSession(restored) as after:
        expected, found = before.run({"x": x}), after.run({"x": x})
    np.testing.assert_allclose(found["scores"], 2 * expected["scores"], rtol=1e-6)


def test_which_no_runtime_could_read_before() -> None:
    x = np.zeros(models.INPUT_SHAPE, np.float32)
    with LiteRTSession(_other_end()) as session, pytest.raises(SessionError):
        session.run({"x": x})


def test_right_signatures_give_the_same_bytes() -> None:
    for data in (models.two_output_model(), models.two_signature_model(), models.unsigned_model()):
        assert restore_signatures(data, data) is data


def test_ends_of_other_types_carry_the_same_values() -> None:
    stored = np.random.default_rng(0).integers(-128, 128, models.INPUT_SHAPE).astype(np.int8)
    plain = models.int8_model()
    with LiteRTSession(plain) as session:
        expected = session.run({"x": stored})["scores"]
        (x,), (y,) = session.info.inputs, session.info.outputs
    unsigned = with_end_types(plain, input_dtype="uint8", output_dtype="uint8")
    with LiteRTSession(unsigned) as session:
        ends = (*session.info.inputs, *session.info.outputs)
        assert [(end.name, end.dtype) for end in ends] == [("x", "uint8"), ("scores", "uint8")]
        assert [end.quant.zero_point for end in ends] == [
            x.quant.zero_point + 128,
            y.quant.zero_point + 128,
        ]
        found = session.run({"x": (stored.astype(int) + 128).astype(np.uint8)})["scores"]
    assert np.array_equal(found.astype(int) - 128, expected)
    real = with_end_types(plain, input_dtype="float32", output_dtype="float32")
    with LiteRTSession(real) as session:
        found = session.run({"x": dequantize(stored, x.quant)})["scores"]
    assert np.array_equal(found, dequantize(expected, y.quant))


def test_an_output_that_is_read_on_keeps_its_inner_readers() -> None:
    graph = models.int8_graph(models.weights())
    graph.outputs = {"hidden": 3, **graph.outputs}
    plain = models.write([graph], {"serving_default": 0})
    edited = parse_graph(with_end_types(plain, input_dtype="int8", output_dtype="float32"))
    assert [op.name for op in edited.ops] == [
        "CONV_2D",
        "FULLY_CONNECTED",
        "DEQUANTIZE",
        "DEQUANTIZE",
    ]
    assert edited.ops[1].inputs[0] == 3
    assert edited.output_names == ("hidden", "scores")
    assert [edited.tensors[i].name for i in edited.outputs] == ["hidden", "serving_scores"]


def test_int8_ends_and_ends_of_other_kinds_are_left_alone() -> None:
    for data in (models.int8_model(), models.float_model()):
        assert with_end_types(data, input_dtype="int8", output_dtype="int8") is data
    assert with_end_types(models.float_model(), input_dtype="uint8", output_dtype="uint8") == (
        models.float_model()
    )
