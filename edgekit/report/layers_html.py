"""The report by layer as one HTML page: a plot along the graph, every layer below it.

It loads nothing, runs no script, and follows the reader's choice of light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from edgekit.errors import OutputError
from edgekit.measure.layers import LayerError
from edgekit.report.layers import LayerReport, bias_text, cause_text, clipped_text, own_text

PLOT_MOST_DB = 60.0
"""What is better than this is drawn at the upper edge: nobody looks for it."""
_LEFT, _TOP, _WIDTH, _HEIGHT = 44, 12, 900, 260

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --page: #ffffff; --dim: #6a737d;
  --grid: #e1e4e8; --all: #0b62c4; --own: #c4540b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --page: #15181c; --dim: #9aa4af;
  --grid: #2f353c; --all: #6cb2ff; --own: #ffa566; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } p.dim, th, figcaption { color: var(--dim); }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.grid { stroke: var(--grid); } .all { fill: none; stroke: var(--all); stroke-width: 1.5; }
.dot { fill: var(--all); } .own { fill: var(--own); }
.key-all { color: var(--all); } .key-own { color: var(--own); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--grid); }
th { font-weight: 600; } .left { text-align: left; } td.left { overflow-wrap: anywhere; }
"""


def check_page(file: Path) -> None:
    """Refuse what cannot be written, before the work.

    Raises:
        OutputError: a folder, or in one that is not there.
    """
    if file.is_dir():
        raise OutputError(f"{file} is a folder", hint="Give a file with --html.")
    if not file.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {file.parent}", hint="Make it first.")


def write_page(report: LayerReport, file: Path) -> None:
    """Write the page; one that is there is replaced whole."""
    try:
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(page(report), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error


def page(report: LayerReport) -> str:
    """The whole page as text."""
    title = escape(f"{report.recipe}, layer by layer")
    errors = report.errors
    cases = "".join(f"<li>{escape(str(case))}</li>" for case in report.hard_cases)
    missing = (
        f"<p>Not in the quantized graph, so not compared: {escape(', '.join(errors.missing))}</p>"
        if errors.missing
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="dim">{escape(report.model)} against {escape(report.reference)}, {len(errors.layers)} \
layers on {errors.samples} {escape(report.role)} samples.</p>
<figure>
{_plot(errors.layers)}
<figcaption><span class="key-all">&#9644;</span> SQNR at each layer, in the order of the graph: \
all the noise there. <span class="key-own">&#9679;</span> the layer's own noise alone: the lower, \
the more it adds. Values above {PLOT_MOST_DB:.0f} dB are drawn at the edge.</figcaption>
</figure>
{f"<h2>Known to be hard on INT8</h2><ul>{cases}</ul>" if cases else ""}
{missing}
<div class="wide"><table>
<thead><tr><th>rank</th><th class="left">layer</th><th class="left">operator</th><th>own dB</th>\
<th class="left">mostly</th><th>SQNR dB</th><th>clipped</th><th>bias, steps</th></tr></thead>
<tbody>
{chr(10).join(_rows(report.ranked))}
</tbody>
</table></div>
</body>
</html>
"""


def _rows(layers: Sequence[LayerError]) -> Iterator[str]:
    for rank, layer in enumerate(layers, start=1):
        left = "".join(f'<td class="left">{escape(text)}</td>' for text in (layer.layer, layer.op))
        yield (
            f"<tr><td>{rank}</td>{left}<td>{own_text(layer)}</td>"
            f'<td class="left">{cause_text(layer)}</td><td>{layer.sqnr_db:.1f}</td>'
            f"<td>{escape(clipped_text(layer))}</td><td>{bias_text(layer)}</td></tr>"
        )


def _plot(layers: Sequence[LayerError]) -> str:
    lowest = min(0.0, *(10 * (layer.sqnr_db // 10) for layer in layers))
    lowest = max(lowest, -PLOT_MOST_DB)

    def x(place: int) -> float:
        return _LEFT + _WIDTH * (place + 0.5) / len(layers)

    def y(value_db: float) -> float:
        share = (min(max(value_db, lowest), PLOT_MOST_DB) - lowest) / (PLOT_MOST_DB - lowest)
        return _TOP + _HEIGHT * (1 - share)

    parts = []
    for value_db in range(int(lowest), int(PLOT_MOST_DB) + 1, 10):
        at = y(value_db)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value_db}</text>'
        )
    points = " ".join(f"{x(i):.1f},{y(each.sqnr_db):.1f}" for i, each in enumerate(layers))
    parts.append(f'<polyline class="all" points="{points}"/>')
    for place, layer in enumerate(layers):
        told = escape(
            f"{layer.layer}, {layer.op}: SQNR {layer.sqnr_db:.1f} dB, own {own_text(layer)} dB, "
            f"mostly {cause_text(layer)}"
        )
        dots = [("dot", 2.0, layer.sqnr_db)]
        if layer.own is not None:
            dots.append(("own", 3.0, layer.own.sqnr_db))
        parts += [
            f'<circle class="{kind}" cx="{x(place):.1f}" cy="{y(value):.1f}" r="{radius}">'
            f"<title>{told}</title></circle>"
            for kind, radius, value in dots
        ]
    size = f"0 0 {_LEFT + _WIDTH + 10} {_TOP + _HEIGHT + 12}"
    return (
        f'<svg viewBox="{size}" role="img" aria-label="SQNR in dB along the graph">'
        + "\n".join(parts)
        + "</svg>"
    )
