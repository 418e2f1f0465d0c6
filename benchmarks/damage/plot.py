"""The detection curve as an SVG: by what is lost, the share of verdicts of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.damage.table import WORDS, bin_names, in_bins, shares, sizes

WIDTH, LEFT, PANEL, GAP, HEIGHT, TOP = 960, 60, 275, 30, 150, 84
ROW = HEIGHT + 72
TEXT, GRID = "#20262c", "#e3e7eb"
COLOURS = dict(zip(WORDS, ("#b4451f", "#e0b64a", "#1f6fb4"), strict=True))
_ROWS = {"verdicts": "whole verdict", "accuracy": "accuracy's check alone"}
_SMALL = 'text-anchor="middle" font-size="9"'


def plot(found: Mapping[str, Any]) -> str:
    """SVG text."""
    parts = [_text(16, 24, "fashion_int8: what becomes of damaged files, by what they lose")]
    for place, word in enumerate(WORDS):
        x = LEFT + place * 110
        parts.append(f'<rect x="{x}" y="38" width="12" height="12" fill="{COLOURS[word]}"/>')
        parts.append(_text(x + 18, 48, word))
    height = TOP + ROW * len(_ROWS)
    for row, (what, title) in enumerate(_ROWS.items()):
        for column, size in enumerate(sizes(found["rows"])):
            left, top = LEFT + column * (PANEL + GAP), TOP + row * ROW
            name = f"{title}, {int(size):,} pictures"
            parts += [_text(left, top - 8, name, 'font-weight="bold"')]
            parts += _panel(found["rows"], what, size, left, top)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{TEXT}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def _panel(rows: Any, what: str, size: str, left: float, top: float) -> Iterator[str]:
    """Bars of one height, in parts, over the points that are lost."""
    for tick in (0, 50, 100):
        y = top + HEIGHT * (1 - tick / 100)
        yield f'<path d="M{left} {y:.1f}h{PANEL}" stroke="{GRID}"/>'
        if left == LEFT:
            yield _text(left - 6, y + 4, f"{tick} %", 'text-anchor="end" font-size="10"')
    bins = [(name, mine) for name, mine in zip(bin_names(), in_bins(rows), strict=True) if mine]
    step = PANEL / len(bins)
    for place, (name, mine) in enumerate(bins):
        x, y = left + place * step + 2, top
        for word, share in zip(WORDS, shares(mine, what, size), strict=True):
            height = HEIGHT * share
            told = escape(f"{name} points, {len(mine)} files: {share:.0%} {word}")
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step - 4:.1f}" height="{height:.1f}" '
                f'fill="{COLOURS[word]}"><title>{told}</title></rect>'
            )
            y += height
        short = name.replace("below ", "< ").replace(" to ", "-").replace(" and more", "+")
        yield _text(x + (step - 4) / 2, top + HEIGHT + 14, short, _SMALL)
    yield _text(left + PANEL / 2, top + HEIGHT + 32, "points of top-1 lost", _SMALL)


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
