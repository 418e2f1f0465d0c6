"""Layers, and the channels that run from one straight to the depthwise convolutions behind it.

A channel multiplied where it is written and divided where it is read changes nothing in float.
These are the places where both can be done in the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.tflite.graph import Graph, Op

LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
"""Operators whose weights are treated."""
_HOMOGENEOUS = frozenset({"NONE", "RELU", "RELU6"})
_PASSING = frozenset({"PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D"})


@dataclass(frozen=True)
class Link:
    """``tensors`` hold the same channels, written by one layer and read by depthwise ones only."""

    tensors: tuple[int, ...]
    writer: Op
    readers: tuple[Op, ...]


def find_links(graph: Graph) -> list[Link]:
    """In the graph's order."""
    links = []
    for op in graph.ops:
        if op.activation not in _HOMOGENEOUS or not is_layer(graph, op):
            continue
        if len(op.inputs) > 2 and op.inputs[2] >= 0 and own_bias(graph, op) is None:
            continue
        tensors, readers = _reached(graph, op.outputs[0])
        outside = any(index in graph.outputs for index in tensors)
        if not outside and readers and all(_is_depthwise(graph, reader) for reader in readers):
            links.append(Link(tuple(tensors), op, tuple(readers)))
    return links


def is_layer(graph: Graph, op: Op) -> bool:
    """Whether ``op`` is a product with float weights that no other operator reads."""
    return op.name in LAYERS and _own(graph, op.inputs[1])


def own_bias(graph: Graph, op: Op) -> int | None:
    """The tensor index of a layer's bias, where it has one that no other operator reads."""
    has_own = len(op.inputs) > 2 and op.inputs[2] >= 0 and _own(graph, op.inputs[2])
    return op.inputs[2] if has_own else None


def _own(graph: Graph, index: int) -> bool:
    tensor = graph.tensors[index]
    return tensor.constant and tensor.dtype == "float32" and len(graph.readers[index]) == 1


def _reached(graph: Graph, start: int) -> tuple[list[int], list[Op]]:
    """The tensors with the channels of ``start``, and the operators at their ends."""
    tensors, ends = [start], []
    for index in tensors:  # grows while it is gone through
        for op in graph.readers.get(index, ()):
            channels = [graph.tensors[i].shape[-1:] for i in (index, op.outputs[0])]
            passing = op.name in _PASSING and op.activation in _HOMOGENEOUS
            if passing and channels[0] == channels[1]:  # PAD adds channels too
                tensors.append(op.outputs[0])
            else:
                ends.append(op)
    return tensors, ends


def _is_depthwise(graph: Graph, op: Op) -> bool:
    return op.name == "DEPTHWISE_CONV_2D" and is_layer(graph, op)
