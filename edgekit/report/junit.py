"""The checks as JUnit XML, which continuous integration shows beside the tests.

The dialect that GitLab, Jenkins and GitHub's reporters read (Apache Ant's): one test case a check.
A required check that failed is a ``failure``, one that could not be decided or measured an
``error``; what did not pass but decides nothing is ``skipped``, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from edgekit.report.figures import value_text
from edgekit.report.printable import printable


def junit(report: Mapping[str, Any]) -> str:
    """The whole document; ``report`` is report.json."""
    suite = ElementTree.Element("testsuite", {"name": printable(f"edgekit {report['recipe']}")})
    counts = dict.fromkeys(("failure", "error", "skipped"), 0)
    for check in report["checks"]:
        outcome = _add_case(suite, report["recipe"], check)
        if outcome is not None:
            counts[outcome] += 1
    seconds = sum(stage["seconds"] for stage in report["stages"])
    totals = {
        "tests": str(len(report["checks"])),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
        "time": f"{seconds:.3f}",
    }
    for key, value in totals.items():
        suite.set(key, value)
    whole = ElementTree.Element("testsuites", {"name": "edgekit", **totals})
    whole.append(suite)
    ElementTree.indent(whole)
    text = ElementTree.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add_case(suite: ElementTree.Element, recipe: str, check: Mapping[str, Any]) -> str | None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": printable(recipe), "name": printable(check["name"]), "time": "0"},
    )
    outcome = _outcome(check)
    held = f"value {value_text(check['value'])}, limit {value_text(check['limit'])}"
    if outcome is None:
        ElementTree.SubElement(case, "system-out").text = printable(f"{held}: {check['why']}")
        return None
    status = check["status"].replace("_", " ")
    message = check["why"] if check["required"] else f"not required, {status}: {check['why']}"
    found = ElementTree.SubElement(case, outcome, {"message": printable(message)})
    if outcome != "skipped":
        found.set("type", check["status"])
        found.text = printable(f"{status}: {held}\n{check['why']}")
    return outcome


def _outcome(check: Mapping[str, Any]) -> str | None:
    """The element that a check needs, ``None`` where it passed."""
    if check["status"] == "pass":
        return None
    if not check["required"]:
        return "skipped"
    return "failure" if check["status"] == "fail" else "error"
