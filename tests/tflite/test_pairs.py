"""Which tensor stands for which."""

from __future__ import annotations

import pytest

from edgekit.tflite.graph import parse_graph
from edgekit.tflite.pairs import grid_of, pair
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tflite import graphs


@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_every_activation_has_an_integer_counterpart(ends: str) -> None:
    data = graphs.chain()
    reference = parse_graph(data)
    found = pair(reference, parse_graph(quantized(data, ends=ends)))
    assert found.missing == ()
    names = {reference.tensors[index].name for index in found.stored}
    assert names == {"x", *graphs.CHAIN}
    for tensor in found.stored.values():
        assert tensor.dtype in {"int8", "uint8"}
        grid = grid_of(tensor)
        assert grid is not None
        assert grid.low <= 0 <= grid.high


def test_inputs_and_outputs_are_matched_by_place_where_names_differ() -> None:
    reference = parse_graph(models.float_model())
    graph = models.float_graph(models.weights())
    graph.tensors[0].name, graph.tensors[-1].name = b"other_x", b"other_scores"
    found = pair(reference, parse_graph(models.write([graph])))
    assert found.missing == ()
    assert {found.stored[index].name for index in reference.outputs} == {"other_scores"}


def test_a_float_tensor_that_carries_a_scale_is_float_all_the_same() -> None:
    graph = models.float_graph(models.weights())
    graph.tensors[3].quantization = models.int8_graph(models.weights()).tensors[3].quantization
    (hidden,) = (t for t in parse_graph(models.write([graph])).tensors if t.name == "hidden")
    assert hidden.scales
    assert grid_of(hidden) is None


def test_what_has_no_counterpart_is_named() -> None:
    found = pair(parse_graph(graphs.chain()), parse_graph(graphs.activated("RELU")))
    assert set(found.missing) >= {"first", "second", "third"}
