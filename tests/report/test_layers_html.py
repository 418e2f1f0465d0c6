"""The page by layer: well formed, by itself, and with every layer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.measure.layers import LayerErrors
from edgekit.report.layers_html import page
from tests.report.layers_sample import LAYERS, REPORT
from tests.report.pages import loads_nothing, svgs


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    text = page(REPORT)
    loads_nothing(text)
    assert "prefers-color-scheme: dark" in text


def test_every_layer_is_in_the_table_and_in_the_plot() -> None:
    text = page(REPORT)
    assert text.count("<tr><td>") == len(LAYERS)
    assert "odd&lt;&amp;&gt;" in text
    assert "odd<&>" not in text
    plot = svgs(text)[0]
    titles = [title.text or "" for title in plot.iter("title")]
    for layer in LAYERS:
        assert any(title.startswith(f"{layer.layer}, {layer.op}:") for title in titles)
    (line,) = plot.iter("polyline")
    assert len((line.get("points") or "").split()) == len(LAYERS)


@pytest.mark.parametrize("sqnr_db", [-200.0, -35.0, 0.0, 200.0])
def test_nothing_is_drawn_outside_the_plot(sqnr_db: float) -> None:
    layers = (replace(LAYERS[0], sqnr_db=sqnr_db), *LAYERS[1:])
    plot = svgs(page(replace(REPORT, errors=LayerErrors(layers, (), 1))))[0]
    left, top, width, height = map(float, (plot.get("viewBox") or "").split())
    for dot in plot.iter("circle"):
        assert left <= float(dot.get("cx") or "nan") <= width
        assert top <= float(dot.get("cy") or "nan") <= height
