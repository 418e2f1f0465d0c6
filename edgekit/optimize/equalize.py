"""Equal ranges for the channels between a layer and the depthwise convolution that reads it.

A per-tensor range is as wide as the widest channel, and the steps are too coarse for the others.
Multiplying a channel where it is written and dividing it where it is read changes nothing in float
(Nagel et al. 2019, arXiv:1906.04721). Between a layer and a depthwise convolution it costs nothing
either: both have a weight scale for each such channel, so no weight is rounded otherwise. Where a
dense layer reads, its columns would be stretched against each other; on MobileNetV2's dev samples
that lost more than it gained, so those are left alone.

Channels are only ever enlarged, and to no more than the widest one. A fused RELU6 therefore clips
nothing of what was seen. What each channel held is known by sample, so the new ranges follow from
the old statistics, and nothing is run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.calibrate.statistics import Statistics, TensorStatistics
from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import constant_array, with_constants
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.tflite.links import Link, find_links, own_bias
from edgekit.types import Array

STRENGTH = 0.5
"""Power of the ratio to the widest channel. 1 would use the range up to the last value seen, and
clip the first larger one."""
FACTOR_MAX = 64.0


@dataclass(frozen=True)
class Equalized:
    """The graph with other weights and biases, and what its activations hold; histograms of
    tensors that changed are gone."""

    data: bytes
    statistics: Statistics


def linked_tensors(data: bytes) -> frozenset[str]:
    """The activations whose extremes ``equalize`` needs by channel."""
    graph = parse_graph(data)
    return frozenset(graph.tensors[i].name for link in find_links(graph) for i in link.tensors)


def equalize(data: bytes, statistics: Statistics) -> Equalized | None:
    """The float graph in ``data`` equalized; ``None`` where it has no such channels, or they are
    alike already.

    ``statistics`` are by channel for the tensors that ``linked_tensors`` names.
    """
    graph = parse_graph(data)
    links = [(link, _factor(graph, link, statistics)) for link in find_links(graph)]
    links = [(link, factor) for link, factor in links if (factor > 1).any()]
    if not links:
        return None
    model = flatbuffer.unpack(data)
    constants: dict[int, Array] = {}
    changed: dict[str, TensorStatistics] = {}
    for link, factor in links:
        for index, axis, by in _ends(graph, link, factor):
            values = constants.get(index)
            if values is None:
                values = constant_array(model, model.subgraphs[0].tensors[index])
            along = [1] * values.ndim
            along[axis] = -1
            constants[index] = values * by.reshape(along)
        for index in link.tensors:
            name = graph.tensors[index].name
            changed[name] = statistics[name].with_channels_times(factor)
    return Equalized(with_constants(data, constants), {**statistics, **changed})


def factors(widest: Array) -> Array:
    """What each channel is multiplied by, from its largest magnitude, float32 [channels]; 1 for one
    that is dead, and for all where one is no number."""
    if not np.isfinite(widest).all():
        return np.ones_like(widest)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = widest.max() / widest
    enlarged = np.clip(ratio, 1.0, np.float32(FACTOR_MAX**2)) ** np.float32(STRENGTH)
    found: Array = np.where((widest > 0) & np.isfinite(ratio), enlarged, np.float32(1))
    return found


def _factor(graph: Graph, link: Link, statistics: Statistics) -> Array:
    channels = statistics[graph.tensors[link.tensors[0]].name].by_channel
    return factors(channels.widest)


def _ends(graph: Graph, link: Link, factor: Array) -> Iterator[tuple[int, int, Array]]:
    """The constants to be scaled, each with its axis of the channels and what it is multiplied
    by."""
    yield link.writer.inputs[1], 3 if link.writer.name == "DEPTHWISE_CONV_2D" else 0, factor
    bias = own_bias(graph, link.writer)
    if bias is not None:
        yield bias, 0, factor
    for reader in link.readers:
        weights = reader.inputs[1]
        each = graph.tensors[weights].shape[3] // len(factor)
        yield weights, 3, 1 / np.repeat(factor, each)
