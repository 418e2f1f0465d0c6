"""The page: well formed, by itself, with everything the run found, whatever is in its names."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.gate.check import Check, Status
from edgekit.recipe.gate_spec import GateSpec
from edgekit.report import NotMeasured
from edgekit.report.html import html
from edgekit.report.printable import printable
from tests.report.evidence_sample import NAMES, PICTURE, evidence
from tests.report.pages import Page, loads_nothing, svgs
from tests.report.sample import FIDELITY, report
from tests.report.test_terminal import REPORTS

RUN = "runs/one"


def page(case: str = "pass", found: dict[str, Any] | None = None) -> str:
    return html(REPORTS[case].to_dict(), evidence() if found is None else found, RUN)


@pytest.mark.parametrize("case", REPORTS)
def test_every_report_is_a_page_that_loads_nothing(case: str) -> None:
    for text in (page(case), html(REPORTS[case].to_dict(), None, RUN)):
        loads_nothing(text)
        assert svgs(text)
        assert "prefers-color-scheme: dark" in text
        assert 'name="viewport"' in text


@pytest.mark.parametrize("case", ["pass", "fail", "inconclusive"])
def test_the_verdict_and_every_check_are_there(case: str) -> None:
    words = Page(page(case)).words
    made = REPORTS[case]
    assert made.verdict.value.upper() in words
    for check in made.checks:
        assert check.name in words
        assert check.why in words


def test_what_to_do_next_stands_where_something_failed() -> None:
    failed = html(report(GateSpec(agreement_min=0.99)).to_dict(), None, RUN)
    assert f"<code>edgekit debug {RUN}</code>" in failed
    assert "What to do next" not in page("pass")


def test_every_kind_of_plot_is_drawn_and_told() -> None:
    told = [each.get("aria-label") or "" for each in svgs(page())]
    for beginning in ("Size: float", "Accuracy: top1", "Change with", "Host latency", "SQNR in"):
        assert sum(label.startswith(beginning) for label in told) == 1
    assert "limit 0.295" in told[0]


def test_the_samples_that_flipped_are_shown_with_both_answers() -> None:
    text = page()
    found = Page(text)
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert [each["src"] for each in pictures] == [PICTURE] * 3
    assert all((each["alt"] or "").startswith("Sample photos/") for each in pictures)
    words = found.words
    assert "3 of 20 samples got another class. 1 were right before and are wrong now" in words
    assert "27 of 400 samples got another class." in words
    for flip in ("photos/1.jpg", "photos/<2>.jpg", "photos/3.jpg", "photos/4.jpg#0,1,2,3"):
        assert flip in words
    assert f"quantized {NAMES[1]} 50%" in words
    assert f"float {NAMES[2]} 40%" in words
    assert "class 900" in words
    assert f"is {NAMES[3]}" in words


def test_data_that_are_no_pictures_show_ids_alone() -> None:
    found = copy.deepcopy(evidence())
    for changes in found["changes"]:
        for flip in changes["flips"]:
            flip["picture"] = None
    text = page(found=found)
    assert "<img" not in text
    assert "photos/1.jpg" in text


def test_layers_that_could_not_be_compared_say_why() -> None:
    found = evidence() | {"layers": {"why": "no <counterpart>"}}
    assert "Not compared: no &lt;counterpart&gt;" in page(found=found)


def test_a_run_without_labels_classes_or_times() -> None:
    made = report(
        GateSpec(),
        accuracy={},
        fidelity=replace(FIDELITY, agreement=None),
        latency=NotMeasured("latency.enabled is false"),
    )
    made = replace(made, checks=())
    text = html(made.to_dict(), evidence() | {"changes": [], "times": None, "layers": None}, RUN)
    loads_nothing(text)
    assert [(each.get("aria-label") or "")[:5] for each in svgs(text)] == ["Size:"]
    assert "nothing was checked" in text


@given(st.text(st.characters()))
def test_any_name_stays_a_name(name: str) -> None:
    check = Check(name, True, name, name, Status.FAIL, name)
    found = copy.deepcopy(evidence())
    found["classes"] = {"0": name}
    found["changes"][0]["flips"][0]["id"] = name
    found["layers"]["layers"][0]["layer"] = name
    made = replace(
        report(accuracy={name: report().accuracy["top1"]}),
        recipe=name,
        checks=(check,),
        notes=(name,),
    )
    text = html(made.to_dict(), found, name)
    text.encode("utf-8")
    plain = Page(page())
    parsed = Page(text)
    known = {tag for tag, _ in plain.tags} | {"ul", "li", "code", "wbr", "details", "summary"}
    assert {tag for tag, _ in parsed.tags} <= known
    assert parsed.words.count(printable(name)) >= 4
    assert len(svgs(text)) == len(svgs(page()))
