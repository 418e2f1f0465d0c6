"""Equal ranges for the channels between a layer and the depthwise convolution that reads it.

A per-tensor range is as wide as the widest channel, and the steps are too coarse for the others.
Multiplying a channel where it is written and dividing it where it is read changes nothing in float
(Nagel et al. 2019, arXiv:1906.04721). Between a layer and a depthwise convolution it costs nothing
either: both have a weight scale for each such channel, so no weight is rounded otherwise. Where a
dense layer reads, its columns would be stretched against each other; on MobileNetV2's dev samples
that lost more than it gained, so those are left alone.

Channels are only ever enlarged, and to no more than the widest one. A fused RELU6 therefore clips
nothing that the tensor's INT8 range, which ends at 6 or below, would not clip anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.optimize.torch_graph import TorchGraph
from edgekit.tflite.graph import Graph, Op

STRENGTH = 0.5
"""Power of the ratio to the widest channel. 1 would use the range up to the last value seen, and
clip the first larger one."""
FACTOR_MAX = 64.0
_HOMOGENEOUS = frozenset({"NONE", "RELU", "RELU6"})
_PASSING = frozenset({"PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D"})


@dataclass(frozen=True)
class Link:
    """``tensors`` hold the same channels, written by one layer and read by depthwise ones only."""

    tensors: tuple[int, ...]
    writer: Op
    readers: tuple[Op, ...]


@torch.no_grad()
def equalize(graph: TorchGraph, batches: Iterable[Mapping[int, Tensor]]) -> dict[int, Tensor]:
    """New weights and biases by tensor index; empty where the graph has no such links.

    ``batches`` are calibration samples, along axis 0.
    """
    links = find_links(graph)
    if not links:
        return {}
    widest = channel_extremes(graph, {link.tensors[0] for link in links}, batches)
    found: dict[int, Tensor] = {}
    for link in links:
        factor = factors(widest[link.tensors[0]])
        for index, axis in _written(graph, link.writer):
            found[index] = _scaled(found.get(index, graph.constants[index]), factor, axis)
        for reader in link.readers:
            weights = found.get(reader.inputs[1], graph.constants[reader.inputs[1]])
            each = weights.shape[3] // len(factor)
            found[reader.inputs[1]] = _scaled(weights, 1 / factor.repeat_interleave(each), 3)
    return found


def factors(widest: Tensor) -> Tensor:
    """What each channel is multiplied by, from its largest magnitude; 1 for one that is dead."""
    ratio = widest.max() / widest.clamp_min(torch.finfo(widest.dtype).tiny)
    factor = ratio.clamp(1.0, FACTOR_MAX**2) ** STRENGTH
    return torch.where((widest > 0) & torch.isfinite(ratio), factor, torch.ones_like(factor))


def find_links(graph: TorchGraph) -> list[Link]:
    """Where equalization is free, in the graph's order."""
    plain = graph.graph
    links = []
    for op in plain.ops:
        if op.activation not in _HOMOGENEOUS or not graph.is_layer(op):
            continue
        if len(op.inputs) > 2 and op.inputs[2] >= 0 and graph.own_bias(op) is None:
            continue
        tensors, readers = _reached(plain, op.outputs[0])
        outside = any(index in plain.outputs for index in tensors)
        if not outside and readers and all(_is_depthwise(graph, reader) for reader in readers):
            links.append(Link(tuple(tensors), op, tuple(readers)))
    return links


def _reached(graph: Graph, start: int) -> tuple[list[int], list[Op]]:
    """The tensors with the channels of ``start``, and the operators at their ends."""
    tensors, ends = [start], []
    for index in tensors:  # grows while it is gone through
        for op in graph.readers.get(index, ()):
            (*_, before), (*_, after) = (graph.tensors[i].shape for i in (index, op.outputs[0]))
            passing = op.name in _PASSING and op.activation in _HOMOGENEOUS
            if passing and before == after:  # PAD adds channels too
                tensors.append(op.outputs[0])
            else:
                ends.append(op)
    return tensors, ends


def _is_depthwise(graph: TorchGraph, op: Op) -> bool:
    return op.name == "DEPTHWISE_CONV_2D" and graph.is_layer(op)


def channel_extremes(
    graph: TorchGraph, tensors: Iterable[int], batches: Iterable[Mapping[int, Tensor]]
) -> dict[int, Tensor]:
    """The largest magnitude of each channel (last axis), float32 [channels], by tensor index."""
    found: dict[int, Tensor] = {}
    wanted = set(tensors)

    def keep(index: int, value: Tensor) -> Tensor:
        if index in wanted:
            widest = value.abs().reshape(-1, value.shape[-1]).amax(0)
            found[index] = torch.maximum(found[index], widest) if index in found else widest
        return value

    for batch in batches:
        graph.run(batch, keep)
    return found


def _written(graph: TorchGraph, writer: Op) -> list[tuple[int, int]]:
    """The constants that make the channels of a layer's output, each with its axis of them."""
    ends = [(writer.inputs[1], 3 if writer.name == "DEPTHWISE_CONV_2D" else 0)]
    bias = graph.own_bias(writer)
    return ends if bias is None else [*ends, (bias, 0)]


def _scaled(constant: Tensor, factor: Tensor, axis: int) -> Tensor:
    shape = [1] * constant.ndim
    shape[axis] = -1
    return constant * factor.reshape(shape)
