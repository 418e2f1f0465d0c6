"""One measured figure: its value, what it must reach, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Target:
    """``value`` must be at least or at most ``limit``, or greater than it."""

    relation: Literal[">=", "<=", ">"]
    limit: float

    def met_by(self, value: float) -> bool:
        if self.relation == "<=":
            return value <= self.limit
        return value > self.limit if self.relation == ">" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """``value`` is in ``unit``; ``ci`` its interval, ``ci_kind`` what sort of interval that is.

    ``beside`` are the direct calls' values of the same quantity, in the same run. Without a
    ``target`` the figure is only stated.
    """

    name: str
    value: float
    unit: str = ""
    target: Target | None = None
    ci: tuple[float, float] | None = None
    ci_kind: str = ""
    beside: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "stated"
        return "reached" if self.target.met_by(self.value) else "missed"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": None if self.target is None else str(self.target),
            "verdict": self.verdict,
            "interval": None if self.ci is None else list(self.ci),
            "interval_kind": self.ci_kind,
            "beside": dict(self.beside),
            "notes": list(self.notes),
        }


def render(figures: Sequence[Figure]) -> Group:
    """A table of all figures, and their notes below it."""
    table = Table("figure", "target", "edgekit", "called directly, same run", "verdict")
    for figure in figures:
        style = {"reached": "green", "missed": "bold red"}.get(figure.verdict, "")
        beside = "\n".join(f"{name} {number(value, '')}" for name, value in figure.beside)
        table.add_row(
            figure.name,
            "" if figure.target is None else str(figure.target),
            _value(figure),
            beside,
            Text(figure.verdict, style),
        )
    notes = [Text(f"{f.name}: {note}") for f in figures for note in f.notes]
    return Group(table, *notes)


def number(value: float, unit: str) -> str:
    """Four digits that count, more of a large number, and the unit."""
    digits = sum(abs(value) < limit for limit in (1000, 100, 10, 1))
    return f"{value:,.{digits}f} {unit}".rstrip()


def _value(figure: Figure) -> str:
    text = number(figure.value, figure.unit)
    if figure.ci is None:
        return text
    low, high = (number(end, "") for end in figure.ci)
    return f"{text}\n[{low}, {high}]"
