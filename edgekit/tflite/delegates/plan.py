"""Where each operator of a graph will run, delegate by delegate: a prediction from the file.

What a phone does is another matter, and can be held against it: drivers refuse what the rules
allow, and builds differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from edgekit.tflite.delegates import gpu, nnapi, xnnpack
from edgekit.tflite.delegates.operator import Operator
from edgekit.tflite.graph import Graph, Op

DELEGATES: dict[str, ModuleType] = {"xnnpack": xnnpack, "gpu": gpu, "nnapi": nnapi}
"""Each with ``why_not(operator)``, ``ASSUMES`` in words, and how many partitions it takes."""


@dataclass(frozen=True)
class OperatorPlace:
    """One operator: the ``partition`` that takes it, counted from 0, or ``why`` it stays on the
    CPU's built-in kernels."""

    index: int
    op: str
    layer: str
    macs: int
    partition: int | None
    why: str | None


@dataclass(frozen=True)
class DelegatePlan:
    """What one delegate is expected to take of the main graph.

    ``assumes`` is what the prediction rests on. ``places`` are in the order of the graph.
    """

    delegate: str
    assumes: str
    places: tuple[OperatorPlace, ...]

    @property
    def taken(self) -> int:
        """Operators that it takes."""
        return sum(place.partition is not None for place in self.places)

    @property
    def partitions(self) -> int:
        return len({place.partition for place in self.places} - {None})

    @property
    def mac_fraction(self) -> float:
        """Share of the multiply-accumulates that it computes; 0 where there are none."""
        total = sum(place.macs for place in self.places)
        taken = sum(place.macs for place in self.places if place.partition is not None)
        return taken / total if total else 0.0

    @property
    def left(self) -> tuple[OperatorPlace, ...]:
        """Those that stay on the CPU."""
        return tuple(place for place in self.places if place.partition is None)


def predict_delegates(graph: Graph) -> tuple[DelegatePlan, ...]:
    """The plan of every delegate for the main graph; control flow inside is not looked into."""
    return tuple(predict_delegate(graph, name) for name in DELEGATES)


def predict_delegate(graph: Graph, delegate: str) -> DelegatePlan:
    """The plan of one delegate, by its name in ``DELEGATES``."""
    rules = DELEGATES[delegate]
    why_not: Callable[[Operator], str | None] = rules.why_not
    reasons = {op.index: why_not(Operator(graph, op)) for op in graph.ops}
    found = partitions(graph, {index for index, why in reasons.items() if why is None})
    limit: int | None = rules.MAX_PARTITIONS
    largest = sorted(found, key=len, reverse=True)[:limit]
    kept = [part for part in found if part in largest]
    partition_of = {index: number for number, part in enumerate(kept) for index in part}
    dropped = (
        "outside the largest partition, the only one it takes by default"
        if limit == 1
        else f"outside the {limit} largest partitions, all that it takes by default"
    )
    return DelegatePlan(
        delegate=delegate,
        assumes=str(rules.ASSUMES),
        places=tuple(
            OperatorPlace(
                index=op.index,
                op=op.name,
                layer=graph.layer(op),
                macs=op.macs,
                partition=partition_of.get(op.index),
                why=None if op.index in partition_of else reasons[op.index] or dropped,
            )
            for op in graph.ops
        ),
    )


def partitions(graph: Graph, supported: Iterable[int]) -> list[tuple[int, ...]]:
    """The runs of ``supported`` operators (by index) that a delegate gets as one each.

    As the interpreter divides a graph (tensorflow/lite/graph_info.cc): operators of one kind are
    collected as long as what they read is there, then those of the other.
    """
    wanted = frozenset(supported)
    written = {tensor: op.index for op in graph.ops for tensor in op.outputs}
    waiting = list(graph.ops)
    done: set[int] = set()
    found: list[tuple[int, ...]] = []

    def ready(op: Op) -> bool:
        return all(written[i] in done for i in op.inputs if i in written)

    while waiting:
        first = next((op for op in waiting if ready(op)), None)
        if first is None:  # a cycle, which no interpreter runs
            break
        kind, taken = first.index in wanted, []
        for op in waiting:
            if (op.index in wanted) == kind and ready(op):
                done.add(op.index)
                taken.append(op.index)
        waiting = [op for op in waiting if op.index not in done]
        if kind:
            found.append(tuple(taken))
    return found
