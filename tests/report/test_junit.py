"""JUnit XML: data/<case>.xml, and that any name keeps it well formed.

``EDGEKIT_WRITE_TRANSCRIPTS=1`` rewrites the files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.gate.check import Check, Status
from edgekit.report.junit import junit
from edgekit.report.printable import printable
from tests.report.sample import report
from tests.report.test_terminal import REPORTS

DATA = Path(__file__).parent / "data"
OUTCOMES = {
    (Status.PASS, True): None,
    (Status.PASS, False): None,
    (Status.FAIL, True): "failure",
    (Status.FAIL, False): "skipped",
    (Status.INCONCLUSIVE, True): "error",
    (Status.INCONCLUSIVE, False): "skipped",
    (Status.NOT_MEASURED, True): "error",
    (Status.NOT_MEASURED, False): "skipped",
}


@pytest.mark.parametrize("case", ["pass", "fail", "inconclusive"])
def test_the_document(case: str) -> None:
    text = junit(REPORTS[case].to_dict())
    expected = DATA / f"{case}.xml"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")


def test_each_outcome_has_its_element_and_is_counted() -> None:
    checks = tuple(
        Check(f"check.{n}", required, 1, 2, status, f"because {n}")
        for n, (status, required) in enumerate(OUTCOMES)
    )
    suite = ElementTree.fromstring(junit(replace(report(), checks=checks).to_dict()))[0]
    for case, check, outcome in zip(suite, checks, OUTCOMES.values(), strict=True):
        assert case.get("name") == check.name
        found = [each for each in case if each.tag != "system-out"]
        assert [each.tag for each in found] == ([] if outcome is None else [outcome])
        for each in found:
            assert check.why in (each.get("message") or "")
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "8", "failures": "1", "errors": "2", "skipped": "3"}


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_name_and_reason_come_back(name: str, why: str) -> None:
    check = Check(name, True, name, name, Status.FAIL, why)
    text = junit(replace(report(), recipe=name, checks=(check,)).to_dict())
    case = ElementTree.fromstring(text.encode("utf-8"))[0][0]
    assert case.get("name") == printable(name)
    assert case[0].get("message") == printable(why)
