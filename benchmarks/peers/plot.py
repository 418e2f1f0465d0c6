"""The rows as bars in an SVG: for each model the answers that changed, and the SQNR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from benchmarks.peers.measure import Compared, Row
from benchmarks.peers.work import EVAL

WIDTH, NAMES, BAR_AREA, BAR, STEP, TITLE = 960, 270, 270, 16, 24, 72
VALUE = 60
"""Room behind a bar for its value."""
EDGEKIT, OTHERS, TEXT, GRID = "#1f6fb4", "#a9b4bf", "#20262c", "#e3e7eb"
_PANELS: tuple[tuple[str, Callable[[Compared], float], str], ...] = (
    (
        "answers that changed, % (less is better)",
        lambda found: 100 * (1 - found.agreement),
        "{:.2f}",
    ),
    ("SQNR of the logits, dB (more is better)", lambda found: found.sqnr_db, "{:.1f}"),
)


def plot(models: Mapping[str, Sequence[Row]], caption: str) -> str:
    """SVG text. ``models`` are rows by recipe; float models and peers that failed have no bar."""
    parts, top = [], 40
    for recipe, rows in models.items():
        quantized = [row for row in rows if row.made is not None and row.compared]
        parts += list(_model(recipe, quantized, top))
        top += TITLE + STEP * len(quantized) + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
        f'viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="12" fill="{TEXT}">'
    )
    ground = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    return "\n".join([head, ground, _text(16, 24, caption), *parts, "</svg>"]) + "\n"


def _model(recipe: str, rows: Sequence[Row], top: float) -> Iterator[str]:
    yield _text(16, top + 20, recipe, 'font-size="15" font-weight="bold"')
    first = top + TITLE
    for number, row in enumerate(rows):
        weight = 'font-weight="bold"' if row.is_edgekit else ""
        name_end = f'text-anchor="end" {weight}'
        yield _text(NAMES - 8, first + number * STEP + 12, row.name, name_end)
    for panel, (title, value, form) in enumerate(_PANELS):
        left = NAMES + panel * (BAR_AREA + VALUE + 24)
        yield _text(left, top + 44, title)
        values = [value(row.compared[EVAL]) for row in rows if row.compared]
        step, end = _scale(max([*values, 0.0]))
        height = STEP * len(rows)
        for tick in range(round(end / step) + 1):
            x = left + BAR_AREA * tick * step / end
            yield f'<path d="M{x:.1f} {first - 4}v{height}" stroke="{GRID}"/>'
            middle = f'text-anchor="middle" font-size="10" fill="{TEXT}"'
            yield _text(x, first - 8, f"{tick * step:g}", middle)
        for number, (row, each) in enumerate(zip(rows, values, strict=True)):
            y, length = first + number * STEP, BAR_AREA * max(each, 0.0) / end
            fill = EDGEKIT if row.is_edgekit else OTHERS
            yield (
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{fill}">'
                f"<title>{escape(row.name)}</title></rect>"
            )
            yield _text(left + length + 5, y + 12, form.format(each))


def _scale(most: float) -> tuple[float, float]:
    """Step between ticks, of 1, 2 or 5 times a power of ten, and the end of the axis: at most six
    steps, and no value beyond it."""
    if most <= 0:
        return 1.0, 1.0
    power = 10.0 ** math.floor(math.log10(most / 6))
    step = next(power * times for times in (1, 2, 5, 10) if most / (power * times) <= 6)
    return step, step * math.ceil(most / step)


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
