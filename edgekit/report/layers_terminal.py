"""The report by layer as a table, or in lines where the terminal is too narrow for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.measure.layers import LayerError
from edgekit.report.layers import LayerReport, bias_text, cause_text, clipped_text, own_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = 15
_UNBOUNDED = 10_000
_HEADS = ("layer", "operator", "own dB", "mostly", "SQNR dB", "clipped", "bias, steps")


def print_layers(report: LayerReport, console: Console, *, everything: bool = False) -> None:
    """Print the layers that add most, ``SHOWN`` of them or all; nothing is cut off at any width."""
    from rich.measure import Measurement
    from rich.text import Text

    layers = report.ranked if everything else report.ranked[:SHOWN]
    for line in _head(report, len(layers)):
        console.print(Text(line))
    table = _table(layers)
    wide = console.options.update(width=_UNBOUNDED)
    if Measurement.get(console, wide, table).maximum <= console.width:
        console.print(table)
    else:
        for layer in layers:
            console.print(Text(f"{layer.layer}, {_in_words(layer)}"))
    for line in _tail(report):
        console.print(Text(line))
    for case in report.hard_cases:
        console.print(Text.assemble(("hard: ", "yellow"), str(case)))


def _head(report: LayerReport, shown: int) -> Iterator[str]:
    errors = report.errors
    some = "all" if shown == len(errors.layers) else f"the {shown} that add most of"
    yield (
        f"{report.recipe}: {some} {len(errors.layers)} layers, on {errors.samples} "
        f"{report.role} samples"
    )


def _tail(report: LayerReport) -> Iterator[str]:
    lowest = min(report.errors.layers, key=lambda layer: layer.sqnr_db)
    last = report.errors.layers[-1]
    if lowest is last:
        yield f"SQNR is lowest at the end, {last.layer}: {last.sqnr_db:.1f} dB"
    else:
        yield (
            f"SQNR is lowest at {lowest.layer}, {lowest.sqnr_db:.1f} dB; at the end, "
            f"{last.layer}, it is {last.sqnr_db:.1f} dB"
        )
    equalized = report.errors.equalized
    if equalized:
        yield (
            f"{len(equalized)} layers hold equalized channels, compared with their factors taken "
            "out"
        )
    missing = report.errors.missing
    if missing:
        count = f"{len(missing)} layer{'s' if len(missing) > 1 else ''}"
        yield f"not in the quantized graph, so not compared: {count}, e.g. {missing[0]}"


def _table(layers: tuple[LayerError, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in _HEADS:
        left = head in {"layer", "operator", "mostly"}
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    for layer in layers:
        table.add_row(
            Text(layer.layer),
            layer.op,
            own_text(layer),
            cause_text(layer),
            f"{layer.sqnr_db:.1f}",
            clipped_text(layer),
            bias_text(layer),
        )
    return table


def _in_words(layer: LayerError) -> str:
    return (
        f"{layer.op}: own {own_text(layer)} dB, mostly {cause_text(layer)}, "
        f"SQNR {layer.sqnr_db:.1f} dB, clipped {clipped_text(layer)}, bias {bias_text(layer)}"
        + (" steps" if layer.bias_steps is not None else "")
    )
