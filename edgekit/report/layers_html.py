"""The report by layer as one HTML page: a plot along the graph, every layer below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.measure.layers import LayerError
from edgekit.report.layers import LayerReport, bias_text, cause_text, clipped_text, own_text
from edgekit.report.page import document, escaped

PLOT_MOST_DB = 60.0
"""What is better than this is drawn at the upper edge: nobody looks for it."""
LAYERS_CAPTION = (
    '<span class="key-all">&#9644;</span> SQNR at each layer, in the order of the graph: all the '
    'noise there. <span class="key-own">&#9679;</span> the layer\'s own noise alone: the lower, '
    f"the more it adds. Values above {PLOT_MOST_DB:.0f} dB are drawn at the edge."
)
_LEFT, _TOP, _WIDTH, _HEIGHT = 44, 12, 900, 260


def page(report: LayerReport) -> str:
    """The whole page as text."""
    title = f"{report.recipe}, layer by layer"
    errors = report.errors
    cases = "".join(f"<li>{escaped(str(case))}</li>" for case in report.hard_cases)
    missing = (
        f"<p>Not in the quantized graph, so not compared: {escaped(', '.join(errors.missing))}</p>"
        if errors.missing
        else ""
    )
    body = f"""<h1>{escaped(title)}</h1>
<p class="dim">{escaped(report.model)} against {escaped(report.reference)}, {len(errors.layers)} \
layers on {errors.samples} {escaped(report.role)} samples.</p>
<figure>
<div class="wide" tabindex="0">{layers_plot(errors.layers)}</div>
<figcaption>{LAYERS_CAPTION}</figcaption>
</figure>
{f"<h2>Known to be hard on INT8</h2><ul>{cases}</ul>" if cases else ""}
{missing}
<div class="wide" tabindex="0"><table>
<thead><tr><th>rank</th><th class="left">layer</th><th class="left">operator</th><th>own dB</th>\
<th class="left">mostly</th><th>SQNR dB</th><th>clipped</th><th>bias, steps</th></tr></thead>
<tbody>
{chr(10).join(_rows(report.ranked))}
</tbody>
</table></div>"""
    return document(title, body)


def _rows(layers: Sequence[LayerError]) -> Iterator[str]:
    for rank, layer in enumerate(layers, start=1):
        left = "".join(f'<td class="left">{escaped(text)}</td>' for text in (layer.layer, layer.op))
        yield (
            f"<tr><td>{rank}</td>{left}<td>{own_text(layer)}</td>"
            f'<td class="left">{cause_text(layer)}</td><td>{layer.sqnr_db:.1f}</td>'
            f"<td>{escaped(clipped_text(layer))}</td><td>{bias_text(layer)}</td></tr>"
        )


def layers_plot(layers: Sequence[LayerError]) -> str:
    """SQNR along the graph as inline SVG; each point tells its layer."""
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
        told = escaped(
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
