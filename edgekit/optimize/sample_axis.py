"""Whether the samples stay along the first axis of everything a graph computes.

A file is written for one sample, or for a batch. Several at once are computed alike only where no
operator mixes them, moves them, or lines them up with something else. What an operator's options
and axes decide is refused by its rule; what shapes decide is refused here.
"""

from __future__ import annotations

from edgekit.tflite.graph import Graph, Op

_WEIGHED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"})
_LINED_UP = frozenset(
    {
        "ADD",
        "SUB",
        "MUL",
        "DIV",
        "MAXIMUM",
        "MINIMUM",
        "SQUARED_DIFFERENCE",
        "POW",
        "PRELU",
        "BATCH_MATMUL",
    }
)
"""Operators whose operands' axes are matched from the last one on."""


def mixing(graph: Graph, op: Op) -> str | None:
    """What ``op`` does to the samples that keeps several from being computed at once."""
    batch = batch_of(graph)
    for index in op.outputs:
        shape = graph.tensors[index].shape
        if not shape or shape[0] != batch:
            return f"it gives {list(shape)}, where the samples are not the first axis"
    if op.name in _WEIGHED and not graph.tensors[op.inputs[1]].constant:
        return "its weights differ from sample to sample"
    if op.name in _LINED_UP:
        return _lined_up_with_samples(graph, op)
    return None


def _lined_up_with_samples(graph: Graph, op: Op) -> str | None:
    rank = len(graph.tensors[op.outputs[0]].shape)
    matrices = op.name == "BATCH_MATMUL"
    for place, index in enumerate(op.inputs):
        tensor = graph.tensors[index]
        if not tensor.constant and (len(tensor.shape) != rank or (matrices and place and rank < 3)):
            return f"it lines up the samples of {tensor.name} with another axis"
        if tensor.constant and matrices and rank < 3:
            continue
        if tensor.constant and len(tensor.shape) == rank and tensor.shape[0] != 1:
            return f"{tensor.name} has {tensor.shape[0]} rows where the samples are"
    return None


def batch_of(graph: Graph) -> int:
    """How many samples the file was written for; a free batch counts as one."""
    shapes = [graph.tensors[index].shape for index in graph.inputs]
    return shapes[0][0] if shapes and shapes[0] else 1
