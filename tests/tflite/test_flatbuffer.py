"""Bytes to the object tree and back: where constants lie, and which operator a code means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import SourceError
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import add_operator_code, add_tensor, pack, schema, unpack
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.tflite.graphs import with_constants_behind


def _answer(data: bytes, seed: int = 0) -> models.Array:
    x = np.random.default_rng(seed).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with LiteRTSession(data) as session:
        return session.run({"x": x})["scores"]


def test_constants_behind_the_flatbuffer_are_read_and_written() -> None:
    plain = models.float_model()
    behind = with_constants_behind(plain)
    assert np.array_equal(_answer(behind), _answer(plain))  # the fixture is a valid file
    assert parse_graph(behind) == parse_graph(plain)
    packed = pack(unpack(behind))
    assert parse_graph(packed) == parse_graph(plain)
    assert np.array_equal(_answer(packed), _answer(plain))


def test_constants_that_were_cut_off_are_damage() -> None:
    behind = with_constants_behind(models.float_model())
    for length in (len(behind) - 1, len(behind) - 200):
        with pytest.raises(SourceError, match="damaged: a constant lies beyond its end"):
            parse_graph(behind[:length])


@pytest.mark.parametrize("where", ["tensor", "output", "signature", "graph", "metadata", "custom"])
def test_a_name_that_is_no_text_is_damage(where: str) -> None:
    model = unpack(models.float_model())
    entry = schema().MetadataT()
    entry.name, entry.buffer = b"notes", 0
    model.metadata = [entry]
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    named, field = {
        "tensor": (graph.tensors[0], "name"),
        "output": (signature.outputs[0], "name"),
        "signature": (signature, "signatureKey"),
        "graph": (graph, "name"),
        "metadata": (entry, "name"),
        "custom": (model.operatorCodes[0], "customCode"),
    }[where]
    setattr(named, field, "größe".encode())
    unpack(pack(model))
    setattr(named, field, "größe".encode("latin-1"))
    with pytest.raises(SourceError) as caught:
        unpack(pack(model), "net.tflite")
    assert caught.value.message == (
        r"net.tflite is damaged: it names something b'gr\xf6\xdfe', which is not UTF-8"
    )


@settings(max_examples=20)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_constants_are_aligned_as_the_schema_demands(sizes: list[int]) -> None:
    model = unpack(models.float_model())
    for number, size in enumerate(sizes):
        values = np.full(size, number, np.int8)
        add_tensor(model, model.subgraphs[0], f"c{number}", (size,), 9, values)
    packed = pack(model)
    table = schema().Model.GetRootAs(packed, 0)
    for index in range(table.BuffersLength()):
        buffer = table.Buffers(index)
        if buffer.DataLength():
            place = buffer._tab.Vector(buffer._tab.Offset(4))
            assert place % 16 == 0
    found = {tensor.name: tensor.size_bytes for tensor in parse_graph(packed).tensors}
    assert [found[f"c{number}"] for number in range(len(sizes))] == sizes


def test_an_operator_code_is_shared_only_with_its_own_operator() -> None:
    operator = schema().BuiltinOperator
    model = unpack(models.float_model())
    codes = len(model.operatorCodes)
    assert add_operator_code(model, operator.CONV_2D) == 0
    assert add_operator_code(model, operator.CONV_2D, version=7) == codes
    # ADD is number 0, which is also what files without the 32-bit field read there.
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = max(code.builtinCode, 1), 0
    assert add_operator_code(model, operator.ADD) == codes + 1
    added = model.operatorCodes[add_operator_code(model, operator.GELU)]
    assert (added.builtinCode, added.deprecatedBuiltinCode) == (operator.GELU, 127)


def test_the_same_tree_packs_to_the_same_bytes() -> None:
    model = unpack(models.two_signature_model())
    assert pack(model) == pack(model) == pack(unpack(models.two_signature_model()))


def test_equal_vectors_are_written_once_and_read_by_each_who_names_them() -> None:
    model = unpack(models.float_model())
    tensors = model.subgraphs[0].tensors
    plain = len(pack(model))
    sizes = []
    for differing in (False, True):
        for number, tensor in enumerate(tensors):
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.scale = np.full(100, 1 + number * differing, np.float32)
            tensor.quantization.zeroPoint = np.zeros(100, np.int64)
        packed = pack(model)
        sizes.append(len(packed) - plain)
        for number, tensor in enumerate(unpack(packed).subgraphs[0].tensors):
            assert tensor.quantization.scale.tolist() == [1 + number * differing] * 100
            assert tensor.quantization.zeroPoint.tolist() == [0] * 100
    more = len(tensors) - 1
    assert 400 * more <= sizes[1] - sizes[0] < 420 * more  # scales that differ are written each
    assert sizes[0] < 400 + 800 + 100 * len(tensors)


def test_vectors_of_the_same_bytes_and_another_type_are_not_shared() -> None:
    model = unpack(models.float_model())
    quantization = schema().QuantizationParametersT()
    quantization.zeroPoint = np.zeros(2, np.int64)
    quantization.scale = np.zeros(4, np.float32)
    model.subgraphs[0].tensors[0].quantization = quantization
    read = unpack(pack(model)).subgraphs[0].tensors[0].quantization
    assert len(read.zeroPoint) == 2
    assert len(read.scale) == 4
