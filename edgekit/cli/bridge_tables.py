"""What ``edgekit bridge`` shows of bridges and hops: a table, or lines where that is too wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.report.units import size_text

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.conversion import Converted

_UNBOUNDED = 10_000


def print_bridges(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """``rows`` as ``edgekit bridge list --json`` gives them."""
    heads = ("bridge", "from", "to", "environment", "state")
    cells = [
        (
            row["name"],
            ", ".join(row["from"]),
            row["to"],
            row["environment"] or "-",
            row["state"],
        )
        for row in rows
    ]
    if _printed(console, heads, cells, right=()):
        return
    for name, before, after, environment, state in cells:
        where = "" if environment == "-" else f", environment {environment}"
        console.print(f"{name}: {before} to {after}{where}, {state}")


def print_converted(console: Console, done: Converted) -> None:
    """Every output of every hop, and the file."""
    heads = ("bridge", "output", "max abs", "SQNR dB", "ops", "transposes")
    cells = [
        (
            hop.bridge,
            output.name,
            f"{output.max_abs:.3g}",
            f"{output.sqnr_db:.1f}",
            *("-" if count is None else str(count) for count in (hop.ops, hop.transposes)),
        )
        for hop in done.hops
        for output in hop.outputs
    ]
    if not _printed(console, heads, cells, right=heads[2:]):
        for bridge, output, *figures in cells:
            told = ", ".join(
                f"{head} {figure}"
                for head, figure in zip(heads[2:], figures, strict=True)
                if figure != "-"
            )
            console.print(f"{bridge}, {output}: {told}")
    console.print(
        f"{done.file}, {size_text(done.size_bytes)}, verified on {done.hops[0].samples} "
        f"{done.samples}",
        soft_wrap=True,
    )


def _printed(
    console: Console,
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    right: Sequence[str],
) -> bool:
    """Print a table if it fits without a break; whether it did."""
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    wide = console.options.update(width=_UNBOUNDED)
    fits = Measurement.get(console, wide, table).minimum <= console.width
    if fits:
        console.print(table)
    return fits
