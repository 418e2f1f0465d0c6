"""Markdown: data/<case>.md, and that any name stays in its place.

``EDGEKIT_WRITE_TRANSCRIPTS=1`` rewrites the files; read their diff.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from edgekit.gate.check import Check, Status
from edgekit.recipe.gate_spec import GateSpec
from edgekit.report.markdown import code, markdown, text
from edgekit.report.printable import printable
from tests.report.sample import report
from tests.report.test_terminal import REPORTS

DATA = Path(__file__).parent / "data"
RUN = "runs/mobilenet_int8/20260304T050607Z-0123456"
GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
anything = st.text(st.characters(), max_size=60)
# What Markdown is made of, more often than chance would bring it.
tricky = st.lists(
    st.sampled_from([*list("|`*_[]()<>!#~\\&\n-+1.=@$ ab"), "<b>", "](x)", "&amp;", "***"]),
    max_size=20,
).map("".join)


def one_line(value: str) -> str:
    return " ".join(printable(value).split())


def tokens(found: list[Token]) -> Iterator[Token]:
    for each in found:
        yield each
        yield from tokens(each.children or [])


def cells(made: str) -> list[str]:
    """The text in every cell of every table."""
    found = GFM.parse(made)
    return [
        "".join(inner.content for inner in found[place + 1].children or [])
        for place, each in enumerate(found)
        if each.type in ("td_open", "th_open")
    ]


@pytest.mark.parametrize("case", ["pass", "fail", "inconclusive", "tensors", "torch"])
def test_the_comment(case: str) -> None:
    made = markdown(REPORTS[case].to_dict(), RUN)
    expected = DATA / f"{case}.md"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(made, "utf-8")
    assert made == expected.read_text("utf-8")


def test_the_verdict_comes_first_and_what_to_do_is_said_once() -> None:
    made = markdown(report(GateSpec(agreement_min=0.99, sqnr_db_min=50)).to_dict(), RUN)
    assert made.startswith("## ❌ FAIL: `mobilenet_int8`")
    assert made.count("calibration samples") == 1
    assert made.count("edgekit debug") == 1
    assert f"`edgekit debug {RUN}`" in made
    assert "What to do next" not in markdown(REPORTS["pass"].to_dict(), RUN)
    assert "sets no limit" in markdown(replace(report(), checks=()).to_dict(), RUN)


@given(anything | tricky)
def test_text_is_read_as_it_was_written(value: str) -> None:
    (found,) = [each for each in GFM.parse(f"- {text(value)}x") if each.type == "inline"]
    kinds = {each.type for each in found.children or []}
    assert kinds <= {"text", "text_special"}
    assert "".join(each.content for each in found.children or []) == f"{one_line(value)}x"


@given(anything | tricky)
def test_code_is_read_as_it_was_written(value: str) -> None:
    (found,) = [each for each in GFM.parse(f"x {code(value)} x") if each.type == "inline"]
    spans = [each.content for each in found.children or [] if each.type == "code_inline"]
    assert [span.strip() for span in spans] == ([one_line(value)] if one_line(value) else [""])


@given(anything | tricky, anything | tricky)
def test_names_stay_in_their_cells(name: str, why: str) -> None:
    checks = (
        Check(name, True, why, name, Status.FAIL, why),
        Check("last", True, 1, 1, Status.PASS, "fine"),
    )
    made = replace(report(), recipe=name, checks=checks, notes=(why,))
    found = cells(markdown(made.to_dict(), name))
    assert "last" in found
    first = found.index("limit") + 3
    assert [cell.strip() for cell in found[first : first + 3]] == [
        one_line(each) for each in (name, why, name)
    ]
    assert len(found) % 4 == 0
