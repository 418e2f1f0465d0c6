"""The drawings: nothing outside, axes that fit, whatever the figures are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.report.plots import accuracy_plot, change_plot, latency_plot, size_plot
from edgekit.report.svg import Scale, text

rates = st.floats(0, 1)
times = st.floats(1e-4, 1e5)


def inside(drawn: str) -> ElementTree.Element:
    """Parse the drawing and assert that nothing lies outside it."""
    plot = ElementTree.fromstring(drawn)
    _, _, width, height = map(float, (plot.get("viewBox") or "").split())
    for x, y in _points(plot):
        assert 0 <= x <= width + 0.05
        assert 0 <= y <= height + 0.05
    return plot


def _points(plot: ElementTree.Element) -> Iterator[tuple[float, float]]:
    for each in plot.iter():
        number = {
            key: float(value) for key, value in each.items() if re.match(r"^-?[\d.]+$", value)
        }
        if each.tag == "line":
            yield number["x1"], number["y1"]
            yield number["x2"], number["y2"]
        if each.tag == "rect":
            yield number["x"], number["y"]
            yield number["x"] + number["width"], number["y"] + number["height"]
        if each.tag == "circle":
            yield number["cx"], number["cy"]
        if each.tag == "text":
            yield number["x"], number["y"]


def metric(values: tuple[float, ...]) -> dict[str, Any]:
    low, before, after, high = values
    return {
        "float": before,
        "quantized": after,
        "drop": before - after,
        "n": 20,
        "ci_low": before - after - low,
        "ci_high": before - after + high,
        "quantized_ci_low": min(low, after),
        "quantized_ci_high": max(high, after),
    }


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.none() | st.floats(1e-3, 10))
def test_sizes(before: int, after: int, limit: float | None) -> None:
    ratio = after / before if before else 0.0
    inside(size_plot({"float_bytes": before, "bytes": after, "ratio": ratio}, limit))


@given(st.lists(st.tuples(rates, rates, rates, rates), min_size=1, max_size=4))
def test_accuracies(found: list[tuple[float, ...]]) -> None:
    metrics = {f"m{n}": metric(values) for n, values in enumerate(found)}
    inside(accuracy_plot(metrics))
    inside(change_plot(metrics, {"m0": 0.01}))


@given(st.lists(times, min_size=1, max_size=30), st.lists(times, min_size=1, max_size=30))
def test_latencies(before: list[float], after: list[float]) -> None:
    host = {"float_ms": before[0], "quantized_ms": after[0]}
    plot = inside(latency_plot(host, {"float_ms": before, "quantized_ms": after}))
    assert {each.get("class") for each in plot.iter("rect")} == {"float", "quantized"}
    inside(latency_plot(host | {"float_p90_ms": max(before), "quantized_p90_ms": 1.0}, None))


def test_a_hiccup_does_not_squeeze_the_rest() -> None:
    calm = [7.0 + 0.01 * n for n in range(99)]
    plot = inside(
        latency_plot(
            {"float_ms": 7.5, "quantized_ms": 7.5},
            {"float_ms": [*calm, 900.0], "quantized_ms": calm},
        )
    )
    assert len(list(plot.iter("rect"))) > 50
    assert not any("900" in (each.text or "") for each in plot.iter("text"))


def test_a_metric_without_an_interval_has_a_dot_alone() -> None:
    alone = metric((0.5, 0.9, 0.8, 0.1)) | {
        "ci_low": None,
        "ci_high": None,
        "quantized_ci_low": None,
        "quantized_ci_high": None,
    }
    plot = inside(accuracy_plot({"f1": alone}))
    assert [each.get("class") for each in plot.iter("path")] == ["float-line"]
    assert len(list(plot.iter("circle"))) == 1


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.sampled_from([1e-6, 0.01, 1.0]))
def test_ticks_are_few_round_and_on_the_axis(values: list[float], least: float) -> None:
    scale = Scale.around(values, least=least)
    assert scale.low < scale.high
    ticks = scale.ticks()
    assert len(ticks) <= 9
    slack = (scale.high - scale.low) * 1e-6
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)
    assert ticks == sorted(set(ticks))
    for value in values:
        assert 8 <= scale.at(value) <= 352


@pytest.mark.parametrize(("x", "anchor"), [(2, "start"), (180, "middle"), (358, "end")])
def test_a_label_keeps_to_the_drawing(x: float, anchor: str) -> None:
    assert f'text-anchor="{anchor}"' in text(x, 10, "a few words")


def test_an_error_has_its_own_unit_and_grows_to_the_right() -> None:
    mae = {
        "float": 3.2,
        "quantized": 3.5,
        "drop": 0.3,
        "n": 50,
        "ci_low": 0.1,
        "ci_high": 0.5,
        "quantized_ci_low": 3.0,
        "quantized_ci_high": 4.0,
        "higher_is_better": False,
        "low": 0.0,
        "high": None,
    }
    assert "mae 3.2 → 3.5" in accuracy_plot({"mae": mae})
    inside(accuracy_plot({"mae": mae}))
    plot = inside(change_plot({"mae": mae}, {"mae": 0.4}))
    assert "mae +0.3 [+0.1, +0.5]" in (plot.get("aria-label") or "")
    (zero,) = [each for each in plot.iter("line") if each.get("class") == "zero"]
    (limit,) = [each for each in plot.iter("line") if each.get("class") == "limit"]
    (dot,) = plot.iter("circle")
    assert float(zero.get("x1") or 0) < float(dot.get("cx") or 0) < float(limit.get("x1") or 0)
