"""Channels that run from a layer straight to depthwise convolutions."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.links import find_links
from tests.tflite.linked import linked


@pytest.mark.parametrize(
    ("told", "tensors", "readers"),
    [
        ({}, ["h"], 1),
        ({"between": "PAD"}, ["h", "between"], 1),
        ({"between": "MAX_POOL_2D"}, ["h", "between"], 1),
        ({"also": "depthwise"}, ["h"], 2),
        ({"writer": "DEPTHWISE_CONV_2D"}, ["h"], 1),
    ],
)
def test_a_link_ends_at_the_depthwise_layers(
    told: dict[str, Any], tensors: list[str], readers: int
) -> None:
    graph = parse_graph(linked(**told))
    (link,) = find_links(graph)
    assert [graph.tensors[index].name for index in link.tensors] == tensors
    assert (graph.layer(link.writer), len(link.readers)) == ("h", readers)


@pytest.mark.parametrize(
    "told",
    [
        {"also": "output"},
        {"also": "add"},
        {"also": "conv"},
        {"activation": 2},
        {"between": "PAD channels"},
    ],
)
def test_channels_that_others_have_too_are_no_link(told: dict[str, Any]) -> None:
    assert find_links(parse_graph(linked(**told))) == []


def test_a_bias_that_another_layer_reads_is_left_alone() -> None:
    model = unpack(linked())
    first, second = model.subgraphs[0].operators
    second.inputs = [second.inputs[0], second.inputs[1], first.inputs[2]]
    assert find_links(parse_graph(pack(model))) == []
