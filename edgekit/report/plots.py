"""The plots of the report as inline SVG, drawn for a width of 360 px: a phone's, so that text is
readable there and grows with a wider page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.report.figures import (
    change_of,
    change_text,
    interval_text,
    is_rate,
    metric_text,
)
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

_ROW = 40
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
    """Each metric: the float value, the quantized one and its 95 % interval. All are rates, or
    there is one alone."""
    first = next(iter(metrics.values()))
    known = [
        metric[key]
        for metric in metrics.values()
        for key in ("float", "quantized", "quantized_ci_low", "quantized_ci_high")
        if metric[key] is not None
    ]
    low, high = first.get("low", 0.0), first.get("high", 1.0)
    within = (float("-inf") if low is None else low, float("inf") if high is None else high)
    scale = Scale.around(known, least=0.02 if is_rate(first) else 1e-6, within=within)
    parts = [scale.grid(8, _bottom(metrics), _percent if is_rate(first) else "{:g}".format)]
    said = []
    for place, (name, metric) in enumerate(metrics.items()):
        y = 8 + _ROW * place
        before, after = (metric_text(metric, metric[side]) for side in ("float", "quantized"))
        parts.append(title(y + 10, f"{name} {before} → {after}"))
        low, high = metric["quantized_ci_low"], metric["quantized_ci_high"]
        if low is not None and high is not None:
            parts.append(interval(scale, low, high, y + 24, "quantized"))
        parts.append(dot(scale.at(metric["quantized"]), y + 24))
        parts.append(diamond(scale.at(metric["float"]), y + 24))
        said.append(f"{name} float {before}, quantized {after}")
    return svg(_bottom(metrics) + 20, f"Accuracy: {'; '.join(said)}", parts)


def change_plot(metrics: Mapping[str, Mapping[str, Any]], limits: Mapping[str, float]) -> str:
    """The change of each metric with its paired interval; ``limits`` are the drops that the gate
    allows, by metric. All are rates, or there is one alone."""
    first = next(iter(metrics.values()))
    known = [0.0]
    for name, metric in metrics.items():
        drops = (metric["drop"], metric["ci_low"], metric["ci_high"], limits.get(name))
        known += [change_of(metric, drop) for drop in drops if drop is not None]
    scale = Scale.around(known, least=0.01 if is_rate(first) else 1e-6)
    parts = [scale.grid(8, _bottom(metrics), _points if is_rate(first) else "{:+g}".format)]
    parts.append(line("zero", scale.at(0), 8, _bottom(metrics)))
    said = []
    for place, (name, metric) in enumerate(metrics.items()):
        y = 8 + _ROW * place
        words = f"{change_text(metric)} {interval_text(metric)}".rstrip()
        parts.append(title(y + 10, f"{name} {words}"))
        if name in limits:
            parts.append(line("limit", scale.at(change_of(metric, limits[name])), y + 14, y + 34))
        if metric["ci_low"] is not None and metric["ci_high"] is not None:
            low, high = sorted(change_of(metric, metric[end]) for end in ("ci_low", "ci_high"))
            parts.append(interval(scale, low, high, y + 24, "quantized"))
        parts.append(dot(scale.at(change_of(metric, metric["drop"])), y + 24))
        said.append(f"{name} {words}")
    return svg(_bottom(metrics) + 20, f"Change with 95 % interval: {'; '.join(said)}", parts)


def _bottom(metrics: Mapping[str, Any]) -> float:
    return 12 + _ROW * len(metrics)


def _percent(value: float) -> str:
    return f"{value * 100:g}%"


def _points(value: float) -> str:
    return f"{value * 100:+g}" if value else "0"


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
