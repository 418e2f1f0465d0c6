"""What is raised together in a graph of mixed precision, in which order, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.tflite.graph import SAME_SCALE, Graph, Op

HARD_SWISH = "HARD_SWISH"
INT16_OPERATORS = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DIV",
        "FULLY_CONNECTED",
        "GELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "PADV2",
        "REDUCE_MIN",
        "RELU",
        "RESHAPE",
        "RSQRT",
        "SOFTMAX",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
"""Those that ai-edge-quantizer 0.10 makes with int16 activations and LiteRT 2.3 runs so; HARD_SWISH
has to be taken to parts."""


@dataclass(frozen=True)
class Unit:
    """What is raised together: ``layer``, whose activation lies in ``tensors`` (several behind a
    reshape), and the operators ``ops`` that write and read it. ``share`` of the noise."""

    layer: str
    share: float
    tensors: frozenset[int]
    ops: frozenset[int]


def units(graph: Graph, shares: Mapping[str, float], to: str, kept: Collection[str]) -> list[Unit]:
    """What can be raised ``to`` a precision, in the graph's order; ``shares`` of the noise by
    layer. Ends of the graph cannot, they have the types that the recipe asks for; ``kept`` layers
    are float already."""
    left = []
    for op in graph.ops:
        layer = graph.layer(op)
        if shares.get(layer, 0.0) == 0.0 or layer in kept:
            continue
        tensors, members = [op.outputs[0]], [op]
        for index in tensors:  # grows while it is gone through
            for reader in graph.readers.get(index, ()):
                members.append(reader)
                if reader.name in SAME_SCALE:
                    tensors.append(reader.outputs[0])
        raisable = [member for member in members if graph.layer(member) not in kept]
        possible = to == "float32" or all(
            member.name in INT16_OPERATORS or member.name == HARD_SWISH for member in raisable
        )
        if possible and not set(tensors) & set(graph.outputs):
            ops = frozenset(member.index for member in raisable)
            left.append(Unit(layer, shares[layer], frozenset(tensors), ops))
    return left


def costs(graph: Graph, to: str) -> list[float]:
    """What raising each operator costs, as a share of the model's cost: its multiply-accumulates
    and, where its weights become float too, their bytes, beside what any operator costs."""
    macs = sum(op.macs for op in graph.ops) or 1
    weights = [_weight_bytes(graph, op) if to == "float32" else 0 for op in graph.ops]
    whole = [
        op.macs / macs + held / (sum(weights) or 1) + 1 / len(graph.ops)
        for op, held in zip(graph.ops, weights, strict=True)
    ]
    return [each / sum(whole) for each in whole]


def _weight_bytes(graph: Graph, op: Op) -> int:
    constants = (graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].constant)
    return sum(tensor.size_bytes for tensor in constants if tensor.dtype == "float32")


def spent(chosen: Sequence[Unit], cost: Sequence[float]) -> float:
    """The cost of raising ``chosen``; what two of them share is paid once."""
    return sum(cost[index] for index in operators(chosen))


def operators(chosen: Sequence[Unit]) -> list[int]:
    """The operators of ``chosen``, by index and in order."""
    return sorted(frozenset().union(*(unit.ops for unit in chosen)))


def by_gain(found: Sequence[Unit], cost: Sequence[float]) -> list[Unit]:
    """``found``, at every place the unit with the most noise for what it costs beside those before
    it."""
    left, order, paid = list(found), list[Unit](), set[int]()
    while left:
        # An operator that is paid for leaves the conversions at its ends.
        best = max(
            left,
            key=lambda unit: unit.share / (sum(cost[i] for i in unit.ops - paid) + min(cost)),
        )
        left.remove(best)
        order.append(best)
        paid |= best.ops
    return order


def fewest(holds: Callable[[int], bool], most: int) -> int | None:
    """The smallest of 1 to ``most`` for which ``holds``, which is taken to hold for all larger
    ones; ``None`` if it does not for ``most``."""
    low, high = 0, 1
    while not holds(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def knee(shares: Sequence[float], paid: Sequence[float]) -> int:
    """How many of the layers to take: ``shares`` of the noise, one each, and the cost ``paid`` for
    all up to each."""
    return int(np.argmax(np.cumsum(shares) - np.asarray(paid))) + 1
