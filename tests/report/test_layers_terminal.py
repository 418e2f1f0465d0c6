"""What a person sees of the layers: data/layers_<columns>.txt.

After a change of wording, ``EDGEKIT_WRITE_TRANSCRIPTS=1 pytest tests/report`` rewrites the files;
read their diff.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgekit.measure.layers import LayerErrors
from edgekit.report.layers import LayerReport
from edgekit.report.layers_terminal import SHOWN, print_layers
from tests.report.layers_sample import REPORT, layer

DATA = Path(__file__).parent / "data"


def printed(report: LayerReport, columns: int, *, everything: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=columns, highlight=False, markup=False, emoji=False, _environ={}
    )
    print_layers(report, console, everything=everything)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [40, 120])
def test_transcript(columns: int) -> None:
    text = printed(REPORT, columns)
    expected = DATA / f"layers_{columns}.txt"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


@pytest.mark.parametrize("columns", range(30, 121, 10))
def test_no_word_is_broken_at_any_width(columns: int) -> None:
    text = printed(REPORT, columns)
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    words = text.split()
    for name in ("features.1.conv.0.2", "DEPTHWISE_CONV_2D", "mobilenet_int8:"):
        assert any(word.startswith(name) for word in words)


def test_the_worst_are_shown_unless_all_are_asked_for() -> None:
    many = tuple(layer(f"layer{number}") for number in range(40))
    report = replace(REPORT, errors=LayerErrors(many, (), 3), hard_cases=())
    assert printed(report, 120).count("CONV_2D") == SHOWN
    assert printed(report, 120, everything=True).count("CONV_2D") == 40
    assert f"the {SHOWN} that add most of 40 layers" in printed(report, 120)
    assert "all 40 layers" in printed(report, 120, everything=True)
