"""Runs of float operators among integer ones, and the conversions at their shores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.types import OperatorFact

_FLOAT = frozenset({"float", "int8 weights", "int8 dynamic"})
_INTEGER = frozenset({"int8", "int16"})


@dataclass(frozen=True)
class FloatIsland:
    """Connected float operators: ``ops`` and their ``layers``, in the order of the graph.

    ``enters`` and ``leaves`` are the layers whose conversion brings values in or out; empty where
    the island reads an input or writes an output of the model as it is.
    """

    ops: tuple[str, ...]
    layers: tuple[str, ...]
    macs: int
    enters: tuple[str, ...]
    leaves: tuple[str, ...]


def float_islands(operators: Sequence[OperatorFact]) -> tuple[FloatIsland, ...]:
    """The islands of a file, in the order of their first operators. A file without an operator on
    integer activations has none: it is all land."""
    if not any(operator.compute in _INTEGER for operator in operators):
        return ()
    land = [number for number, each in enumerate(operators) if each.compute in _FLOAT]
    root = {number: number for number in land}

    def top(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    writer = {name: number for number in land for name in operators[number].writes}
    for number in land:
        for name in operators[number].reads:
            if name in writer:
                first, second = sorted((top(writer[name]), top(number)))
                root[second] = first
    together: dict[int, list[OperatorFact]] = {}
    for number in land:
        together.setdefault(top(number), []).append(operators[number])
    conversions = [each for each in operators if each.compute == "conversion"]
    return tuple(_island(inside, conversions) for inside in together.values())


def _island(inside: list[OperatorFact], conversions: list[OperatorFact]) -> FloatIsland:
    read = {name for each in inside for name in each.reads}
    wrote = {name for each in inside for name in each.writes}
    return FloatIsland(
        ops=tuple(each.op for each in inside),
        layers=tuple(each.layer for each in inside),
        macs=sum(each.macs for each in inside),
        enters=tuple(each.layer for each in conversions if read & set(each.writes)),
        leaves=tuple(each.layer for each in conversions if wrote & set(each.reads)),
    )
