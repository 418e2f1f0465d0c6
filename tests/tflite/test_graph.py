"""The graph view: what it reads, what it computes, and that damage never surprises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import SourceError
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import Graph, parse_graph, read_graph
from tests import tflite_models as models
from tests.tflite import graphs

FLOAT = models.float_model()


def test_names_shapes_types_and_constants() -> None:
    graph = parse_graph(FLOAT)
    assert [(t.name, t.shape, t.dtype, t.constant, t.size_bytes) for t in graph.tensors] == [
        ("serving_x", (1, 4, 4, 3), "float32", False, 0),
        ("kernel", (2, 3, 3, 3), "float32", True, 4 * 54),
        ("kernel_bias", (2,), "float32", True, 8),
        ("hidden", (1, 4, 4, 2), "float32", False, 0),
        ("matrix", (5, 32), "float32", True, 4 * 160),
        ("matrix_bias", (5,), "float32", True, 20),
        ("serving_scores", (1, 5), "float32", False, 0),
    ]
    assert [(op.name, op.inputs, op.outputs, op.activation) for op in graph.ops] == [
        ("CONV_2D", (0, 1, 2), (3,), "RELU"),
        ("FULLY_CONNECTED", (3, 4, 5), (6,), "NONE"),
    ]
    assert (graph.signature, graph.input_names, graph.output_names) == (
        "serving_default",
        ("x",),
        ("scores",),
    )


def test_who_makes_and_who_reads_a_tensor() -> None:
    graph = parse_graph(FLOAT)
    conv, fc = graph.ops
    assert graph.producer == {3: conv, 6: fc}
    assert graph.readers[3] == (fc,)
    assert [t.name for t in graph.activations(fc)] == ["hidden", "serving_scores"]
    assert graph.layer(conv) == "hidden"


def test_quantization_parameters_one_or_one_a_channel() -> None:
    graph = parse_graph(models.int8_model())
    x, kernel = graph.tensors[0], graph.tensors[1]
    assert (x.dtype, x.scales, x.zero_points) == ("int8", (pytest.approx(2 / 255),), (0,))
    assert len(kernel.scales) == models.FILTERS
    assert kernel.axis == 0
    assert not parse_graph(FLOAT).tensors[1].scales


def test_without_a_signature_the_ends_are_called_like_their_tensors() -> None:
    graph = parse_graph(models.unsigned_model())
    assert (graph.signature, graph.input_names, graph.output_names) == (
        None,
        ("serving_x",),
        ("serving_scores",),
    )


def test_a_free_batch_is_told_apart_from_a_batch_of_one() -> None:
    assert parse_graph(models.free_batch_model()).tensors[0].free_axes == (0,)
    assert parse_graph(FLOAT).tensors[0].free_axes == ()


def test_the_first_of_several_subgraphs_is_read() -> None:
    graph = parse_graph(models.two_signature_model())
    assert graph.signature == "first"
    assert len(graph.ops) == 2


def _one(name: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], **options: object) -> int:
    """MACs of one operator; the first shape is the only activation unless ``last``."""
    graph = models.Graph()
    tensors = [graph.tensor(f"t{i}", shape) for i, shape in enumerate(shapes)]
    y = graph.tensor("y", out)
    graph.operator(name, tensors, [y], **options)
    graph.inputs, graph.outputs = {"x": tensors[0]}, {"y": y}
    return parse_graph(models.write([graph], {"s": 0})).ops[0].macs


def test_macs_against_sums_by_hand() -> None:
    conv = _one("CONV_2D", [(1, 8, 8, 6), (4, 3, 3, 6), (4,)], (1, 4, 4, 4))
    assert conv == (4 * 4 * 4) * (3 * 3 * 6)
    grouped = _one("CONV_2D", [(1, 8, 8, 6), (4, 3, 3, 3), (4,)], (1, 4, 4, 4))
    assert grouped == (4 * 4 * 4) * (3 * 3 * 3)
    depthwise = _one("DEPTHWISE_CONV_2D", [(1, 8, 8, 6), (1, 5, 5, 12), (12,)], (1, 4, 4, 12))
    assert depthwise == (4 * 4 * 12) * (5 * 5)
    assert _one("FULLY_CONNECTED", [(7, 32), (5, 32)], (7, 5)) == 7 * 5 * 32
    transposed = _one("TRANSPOSE_CONV", [(4,), (2, 3, 3, 6), (1, 4, 4, 6)], (1, 8, 8, 2))
    assert transposed == (4 * 4 * 6) * (3 * 3 * 2)
    table = "BatchMatMulOptions"
    assert _one("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), table=table) == 2 * 3 * 4 * 5
    adjoint = _one("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), table=table, adjX=True)
    assert adjoint == 2 * 3 * 4 * 5
    assert _one("ADD", [(1, 8), (1, 8)], (1, 8), table="AddOptions") == 0


def test_a_model_that_only_hands_its_input_on_has_no_operator() -> None:
    graph = models.Graph()
    x = graph.tensor("x", (1, 3))
    graph.inputs, graph.outputs = {"x": x}, {"y": x}
    parsed = parse_graph(models.write([graph], {"s": 0}))
    assert (parsed.ops, parsed.input_names, parsed.output_names) == ((), ("x",), ("y",))


def test_a_missing_file_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*nowhere\.tflite: No such file"):
        read_graph(tmp_path / "nowhere.tflite")
    other = tmp_path / "model.tflite"
    other.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(SourceError, match=r"model\.tflite is not a \.tflite file"):
        read_graph(other)


def test_a_tensor_index_out_of_the_graph_is_damage_even_when_negative() -> None:
    for end in (-2, 99):
        model = unpack(FLOAT)
        model.subgraphs[0].operators[0].outputs = [end]
        with pytest.raises(SourceError, match="is damaged: tensor"):
            parse_graph(pack(model))


def _graph_or_source_error(data: bytes) -> Graph | None:
    try:
        return parse_graph(data)
    except SourceError:
        return None


@pytest.mark.parametrize("whole", [FLOAT, models.int8_model()], ids=["float", "int8"])
def test_a_file_cut_anywhere_is_refused_or_read(whole: bytes) -> None:
    refused = sum(_graph_or_source_error(whole[:length]) is None for length in range(len(whole)))
    assert refused > 0.9 * len(whole)


@settings(max_examples=400)
@given(
    st.sampled_from([FLOAT, models.int8_model(), models.two_signature_model(), graphs.varied()]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_flipped_bytes_are_refused_or_read(data: bytes, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    _graph_or_source_error(bytes(damaged))


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_under_the_right_identifier(tail: bytes) -> None:
    _graph_or_source_error(b"\x1c\x00\x00\x00TFL3" + tail)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_packing_what_was_unpacked_changes_nothing(seed: int, several: bool) -> None:
    data = models.two_output_model(seed) if several else models.float_model(seed)
    packed = pack(unpack(data))
    assert parse_graph(packed) == parse_graph(data)
    assert pack(unpack(packed)) == packed
    x = np.random.default_rng(seed).normal(size=models.INPUT_SHAPE).astype(np.float32)
    with LiteRTSession(data) as before, LiteRTSession(packed) as after:
        expected, found = before.run({"x": x}), after.run({"x": x})
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert np.array_equal(array, found[name])
