"""The plots of the report as inline SVG, drawn for a width of 360 px: a phone's, so that text is
readable there and grows with a wider page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.report.figures import interval_text, points_text
from edgekit.report.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Scale,
    bar,
    diamond,
    dot,
    interval,
    line,
    svg,
    text,
    title,
)
from edgekit.report.units import latency_text, size_text

_BINS = 36
_OUTLIERS = 0.98
"""Slower runs than this share are counted in the last bin: one hiccup would squeeze the rest."""


def size_plot(size: Mapping[str, Any], ratio_max: float | None) -> str:
    """Two bars; a dashed line where the gate's ratio ends."""
    most = max(size["float_bytes"], size["bytes"], 1)
    room = WIDTH - LEFT - RIGHT
    parts = []
    for top, kind, count in ((6, "float", size["float_bytes"]), (52, "quantized", size["bytes"])):
        parts.append(title(top + 12, f"{kind} {size_text(count)}"))
        parts.append(bar(kind, LEFT, top + 18, max(room * count / most, 1), 16))
    said = f"float {size_text(size['float_bytes'])}, quantized {size_text(size['bytes'])}"
    height = 94
    if ratio_max is not None and ratio_max * size["float_bytes"] <= most:
        at = LEFT + room * ratio_max * size["float_bytes"] / most
        parts.append(line("limit", at, 67, 93) + text(at, 106, f"limit {ratio_max:g} x"))
        said += f", limit {ratio_max:g} of float"
        height = 110
    return svg(height, f"Size: {said}", parts)


def accuracy_plot(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Each metric: the float value, the quantized one and its 95 % interval."""
    lows = [m["quantized_ci_low"] for m in metrics.values()]
    highs = [m["quantized_ci_high"] for m in metrics.values()]
    values = [m[side] for m in metrics.values() for side in ("float", "quantized")]
    known = [value for value in (*values, *lows, *highs) if value is not None]
    scale = Scale.around(known, least=0.02, within=(0.0, 1.0))
    parts = [scale.grid(8, 12 + 40 * len(metrics), lambda value: f"{value * 100:g}%")]
    said = []
    for place, (name, metric) in enumerate(metrics.items()):
        y = 8 + 40 * place
        before, after = f"{metric['float']:.1%}", f"{metric['quantized']:.1%}"
        parts.append(title(y + 10, f"{name} {before} → {after}"))
        low, high = metric["quantized_ci_low"], metric["quantized_ci_high"]
        if low is not None and high is not None:
            parts.append(interval(scale, low, high, y + 24, "quantized"))
        parts.append(dot(scale.at(metric["quantized"]), y + 24))
        parts.append(diamond(scale.at(metric["float"]), y + 24))
        said.append(f"{name} float {before}, quantized {after}")
    return svg(32 + 40 * len(metrics), f"Accuracy: {'; '.join(said)}", parts)


def change_plot(metrics: Mapping[str, Mapping[str, Any]], limits: Mapping[str, float]) -> str:
    """The change of each metric with its paired interval, in points; ``limits`` are the drops that
    the gate allows, by metric."""
    shown = {name: m for name, m in metrics.items() if m["ci_low"] is not None}
    ends = [-m[end] for m in shown.values() for end in ("ci_low", "ci_high")]
    scale = Scale.around([0.0, *ends, *(-limit for limit in limits.values())], least=0.01)
    bottom = 12 + 40 * len(shown)
    parts = [scale.grid(8, bottom, lambda value: f"{value * 100:+g}".replace("+0", "0"))]
    parts.append(line("zero", scale.at(0), 8, bottom))
    said = []
    for place, (name, metric) in enumerate(shown.items()):
        y = 8 + 40 * place
        words = f"{points_text(metric)} {interval_text(metric)}"
        parts.append(title(y + 10, f"{name} {words}"))
        if name in limits:
            parts.append(line("limit", scale.at(-limits[name]), y + 14, y + 34))
        parts.append(interval(scale, -metric["ci_high"], -metric["ci_low"], y + 24, "quantized"))
        parts.append(dot(scale.at(-metric["drop"]), y + 24))
        said.append(f"{name} {words}")
    return svg(32 + 40 * len(shown), f"Change with 95 % interval: {'; '.join(said)}", parts)


def latency_plot(host: Mapping[str, Any], times: Mapping[str, Sequence[float]] | None) -> str:
    """The runs of each model as a histogram on one axis; without ``times`` median and 90th
    percentile alone."""
    sides = (("float", "float_ms"), ("quantized", "quantized_ms"))
    tails = [host.get(f"{name}_p90_ms") for name, _ in sides]
    if times is None:
        known = [host["float_ms"], host["quantized_ms"], *(t for t in tails if t is not None)]
    else:
        known = [v for _, key in sides for v in (min(times[key]), _tail(times[key]), host[key])]
    scale = Scale.around(known, least=1e-6, within=(0.0, float("inf")))
    parts = [scale.grid(8, 136, lambda value: f"{value:g} ms")]
    said = []
    for (name, key), base, tail in zip(sides, (68, 134), tails, strict=True):
        if times is not None:
            parts += _histogram(scale, times[key], base, name)
        elif tail is not None:
            parts.append(interval(scale, host[key], tail, base - 10, name))
        at = scale.at(host[key])
        parts.append(line(f"{name}-line", at, base - 42, base))
        words = f"{name} {latency_text(host[key])}"
        parts.append(text(at, base - 46, words, "strong"))
        said.append(words)
    return svg(156, f"Host latency, medians: {', '.join(said)}", parts)


def _histogram(scale: Scale, values_ms: Sequence[float], base: float, kind: str) -> Iterator[str]:
    inside = np.clip(np.asarray(values_ms, np.float64), scale.low, scale.high)
    counts, edges = np.histogram(inside, bins=_BINS, range=(scale.low, scale.high))
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            height = 38 * count / counts.max()
            x, end = scale.at(float(left)), scale.at(float(right))
            yield bar(kind, x, base - height, max(end - x - 0.6, 0.6), height)


def _tail(values_ms: Sequence[float]) -> float:
    return float(np.quantile(np.asarray(values_ms, np.float64), _OUTLIERS))
