"""The few marks that the plots are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from edgekit.report.page import escaped

WIDTH = 360
LEFT, RIGHT = 8, 8
_TICKS = 7


@dataclass(frozen=True)
class Scale:
    """A linear axis over the plot's width."""

    low: float
    high: float

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        *,
        least: float,
        within: tuple[float, float] = (float("-inf"), float("inf")),
    ) -> Scale:
        """All of ``values`` with a margin, at least ``least`` wide, not beyond ``within``."""
        low, high = min(values), max(values)
        margin = max(high - low, least) * 0.08 + max(0.0, least - (high - low)) / 2
        # Beyond a double's digits a range is no range.
        margin = max(margin, abs(high) * 1e-9)
        return cls(max(low - margin, within[0]), min(high + margin, within[1]))

    def at(self, value: float) -> float:
        """x of ``value``; what lies outside is drawn at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round values, about ``_TICKS``."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** floor(log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first = floor(self.low / step) + (self.low % step > 0)
        found = [round(n * step, 12) for n in range(int(first), int(first) + 2 * _TICKS + 2)]
        return [value for value in found if isfinite(value) and value <= self.high]

    def grid(self, top: float, bottom: float, say: Callable[[float], str]) -> str:
        """Vertical lines at the ticks, their values below."""
        return "".join(
            f'<line class="grid" x1="{self.at(value):.1f}" x2="{self.at(value):.1f}" '
            f'y1="{top}" y2="{bottom}"/>' + text(self.at(value), bottom + 14, say(value))
            for value in self.ticks()
        )


def svg(height: float, label: str, parts: Sequence[str]) -> str:
    """The drawing; ``label`` is what a reader who does not see it is told."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escaped(label)}">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Centred at ``x`` where there is room, else against the edge."""
    half = 3.4 * len(words)
    anchor, at = "middle", x
    if x - half < 0:
        anchor, at = "start", 0.0
    elif x + half > WIDTH:
        anchor, at = "end", float(WIDTH)
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{at:.1f}" y="{y:g}" text-anchor="{anchor}">{escaped(words)}</text>'


def title(y: float, words: str) -> str:
    """A line of text at the left."""
    return f'<text class="strong" x="{LEFT}" y="{y:g}">{escaped(words)}</text>'


def line(kind: str, x: float, top: float, bottom: float) -> str:
    """A vertical line."""
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'


def bar(kind: str, x: float, y: float, width: float, height: float) -> str:
    """A filled rectangle."""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )


def interval(scale: Scale, low: float, high: float, y: float, kind: str) -> str:
    """A horizontal line with an end at either side."""
    left, right = scale.at(low), scale.at(high)
    path = f"M{left:.1f} {y}H{right:.1f}M{left:.1f} {y - 5}v10M{right:.1f} {y - 5}v10"
    return f'<path class="{kind}-line" d="{path}"/>'


def dot(x: float, y: float) -> str:
    """The quantized model's value."""
    return f'<circle class="quantized" cx="{x:.1f}" cy="{y:g}" r="5"/>'


def diamond(x: float, y: float) -> str:
    """The float model's value, told from the other by its shape too."""
    return f'<path class="float-line" d="M{x:.1f} {y - 7}l7 7l-7 7l-7 -7z"/>'
