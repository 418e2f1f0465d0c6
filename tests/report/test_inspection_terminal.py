"""What a person sees of a file: data/inspection_<columns>.txt.

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

from edgekit.report.float_islands import FloatIsland
from edgekit.report.inspection import Inspection
from edgekit.report.inspection_terminal import (
    ISLANDS_SHOWN,
    count_text,
    percent,
    print_inspection,
)
from tests.report.inspection_sample import INSPECTION

DATA = Path(__file__).parent / "data"


def printed(found: Inspection, columns: int, *, every_op: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=columns, highlight=False, markup=False, emoji=False, _environ={}
    )
    print_inspection(found, console, every_op=every_op)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [40, 120])
def test_transcript(columns: int) -> None:
    text = printed(INSPECTION, columns, every_op=True)
    expected = DATA / f"inspection_{columns}.txt"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


@pytest.mark.parametrize("columns", range(30, 121, 10))
def test_no_word_is_broken_at_any_width(columns: int) -> None:
    text = printed(INSPECTION, columns)
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    for name in ("FULLY_CONNECTED", "DEQUANTIZE", "224x224x3"):
        assert name in text


def test_operators_are_listed_only_when_asked_for() -> None:
    assert "stem/conv" not in printed(replace(INSPECTION, islands=()), 120)
    assert "stem/conv" in printed(INSPECTION, 120, every_op=True)


def test_many_islands_are_counted() -> None:
    islands = (FloatIsland(("PRELU",), ("act",), 0, (), ()),) * (ISLANDS_SHOWN + 2)
    text = printed(replace(INSPECTION, islands=islands), 120)
    assert text.count("float island:") == ISLANDS_SHOWN
    assert "and 2 more float islands" in text


def test_a_format_without_runtime_or_delegates_says_nothing_of_them() -> None:
    text = printed(replace(INSPECTION, runtime=None, delegates=()), 120)
    assert "runtime" not in text
    assert "predicted" not in text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0%"), (1, "100%"), (0.00001, "0.1%"), (0.99999, "99.9%"), (0.5, "50.0%")],
)
def test_a_share_is_never_rounded_to_none_or_all(fraction: float, text: str) -> None:
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (12_800, "12.8 k"), (300_774_272, "300.8 M"), (4e9, "4.0 G")]
)
def test_counts(count: int, text: str) -> None:
    assert count_text(int(count)) == text
