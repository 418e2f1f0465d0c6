"""A table where it fits, and lines where the terminal is too narrow for one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 10_000


def print_table(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
) -> None:
    """Print ``rows`` under ``heads``; ``right`` are the columns that align right. Nothing is cut
    off: a table too wide for the terminal becomes a line a row, which wraps."""
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, head in enumerate(heads):
        table.add_column(head, justify="right" if position in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    wide = console.options.update(width=_UNBOUNDED)
    if Measurement.get(console, wide, table).maximum <= console.width:
        console.print(table)
        return
    for row in rows:
        named = [
            f"{head} {cell}" if head and position else cell
            for position, (head, cell) in enumerate(zip(heads, row, strict=True))
            if cell != "-"
        ]
        console.print(Text(", ".join(named)))
