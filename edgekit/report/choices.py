"""What was chosen on the dev samples: the candidates side by side, or in lines where too narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.choose import Candidate, Choice
from edgekit.report.units import latency_text, size_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_BY = {
    "only_candidate": "the only one that came to anything",
    "promise": "the only one that is what the recipe asks for",
    "agreement": "by its agreement with the float model",
    "latency": "by latency",
    "sqnr_db": "by SQNR",
    "transposes": "by its transposes",
    "size_bytes": "by size",
    "order": "the first of equals",
}
_STYLE = "dim"
_UNBOUNDED = 10_000


@dataclass(frozen=True)
class ChoiceTable:
    """A rich renderable of ``choice``; nothing is cut off at any width."""

    choice: Choice

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        from rich.measure import Measurement
        from rich.text import Text

        choice = self.choice
        on = "" if choice.on is None else f" on {choice.on.samples} {choice.on.role} samples"
        yield Text(f"{choice.of} {choice.chosen}: {_BY[choice.by]}{on}", style=_STYLE)
        candidates = sorted(choice.candidates, key=lambda each: each.name != choice.chosen)
        shown = [each for each in candidates if each.sqnr_db or each.hops]
        table = _table(shown)
        wide = options.update(width=_UNBOUNDED)
        fits = Measurement.get(console, wide, table).minimum <= options.max_width
        if len(shown) > 1 and fits:
            yield table
        else:
            shown = []
        for candidate in candidates:
            if words := ", ".join(_words(candidate, figures=candidate not in shown)):
                yield Text(f"  {candidate.name}: {words}", style=_STYLE)


def _table(candidates: Sequence[Candidate]) -> Table:
    from rich.table import Table

    figures = [dict(_figures(candidate)) for candidate in candidates]
    # In the order of _figures, also where the first candidate lacks some.
    names = [name for name in _FIGURES if any(name in each for each in figures)]
    table = Table(box=None, pad_edge=False, style=_STYLE, header_style=_STYLE)
    table.add_column("", style=_STYLE, no_wrap=True)
    for candidate in candidates:
        # A bridge a line: as narrow as its figures, which are never wrapped.
        heading = candidate.name.replace(", ", ",\n")
        table.add_column(heading, justify="right", style=_STYLE, no_wrap=True)
    for name in names:
        table.add_row(f"  {name}", *(each.get(name, "-") for each in figures))
    return table


_FIGURES = (
    "hops",
    "same class",
    "SQNR",
    "latency",
    "size",
    "ops",
    "float ops",
    "transposes",
    "converted in",
    "made in",
)


def _figures(candidate: Candidate) -> Iterator[tuple[str, str]]:
    """What is known of it, by the names in ``_FIGURES``."""
    if candidate.hops:
        yield "hops", " / ".join(f"{hop.sqnr_db:.0f}" for hop in candidate.hops) + " dB"
        if all(hop.seconds is not None for hop in candidate.hops):
            yield "converted in", f"{sum(hop.seconds or 0 for hop in candidate.hops):.1f} s"
    if candidate.agreement is not None:
        yield "same class", f"{candidate.agreement:.2%}"
    if candidate.sqnr_db:
        yield "SQNR", f"{candidate.primary_db:.1f} dB"
    if candidate.latency_ms is not None:
        yield "latency", latency_text(candidate.latency_ms)
    if candidate.size_bytes is not None:
        yield "size", size_text(candidate.size_bytes)
    for name, count in (
        ("ops", candidate.ops),
        ("float ops", candidate.float_ops),
        ("transposes", candidate.transposes),
    ):
        if count is not None:
            yield name, str(count)
    if candidate.error is None:
        yield "made in", f"{candidate.seconds:.1f} s"


def _words(candidate: Candidate, *, figures: bool) -> Iterator[str]:
    """Why it was not taken; its figures before, where they stand nowhere else."""
    if figures:
        known = dict(_figures(candidate))
        yield from (f"{name} {known[name]}" for name in _FIGURES if name in known)
    if candidate.error is not None:
        yield candidate.error
    if candidate.lost is not None:
        yield f"not taken: {candidate.lost}"
