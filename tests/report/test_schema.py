"""The published schemas: real reports fit them, and what does not is named by its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.report.evidence import evidence_to_dict
from edgekit.report.schema import Name, first_problem, schema, schema_text
from tests.report.evidence_sample import evidence
from tests.report.sample import report
from tests.report.test_terminal import REPORTS

# What edgekit.report.schema reads; another keyword would be passed over in silence.
KEYWORDS = {"type", "const", "enum", "properties", "required", "additionalProperties", "items"}
KEYWORDS |= {"anyOf", "$ref", "$defs", "pattern", "minItems", "title", "description", "$schema"}


def document(case: str) -> Any:
    return json.loads(json.dumps(REPORTS[case].to_dict()))


def changed(path: str, value: object) -> Any:
    whole: Any = document("pass")
    *folders, last = path.split(".")
    at = whole
    for key in folders:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return whole


@pytest.mark.parametrize("case", REPORTS)
def test_every_report_fits(case: str) -> None:
    assert first_problem(document(case), "report") is None


def test_evidence_fits_and_so_does_its_absence() -> None:
    assert first_problem(evidence(), "evidence") is None
    assert first_problem(evidence_to_dict(report().evidence, None), "evidence") is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", 2, "schema: must be 1, not 2"),
        ("verdict", None, "verdict: is missing"),
        ("verdict", "passed", "verdict: must be one of pass, fail, inconclusive"),
        ("size.bytes", "many", 'size.bytes: must be integer, not "many"'),
        ("size.bytes", True, "size.bytes: must be integer, not true"),
        ("size.ratio", float("inf"), "size.ratio: must be number"),
        ("accuracy.top1.drop", "0.1", 'accuracy.top1.drop: must be number, not "0.1"'),
        ("latency.host", {"measured": True}, "latency.host"),
        ("latency.host.speedup", "2", "latency.host.speedup: must be number"),
        ("checks.1.status", "ok", "checks.1.status: must be one of pass"),
        ("checks.0.why", None, "checks.0.why: is missing"),
        ("notes", {"a": 1}, "notes: must be array"),
    ],
)
def test_a_departure_is_named_by_its_place(path: str, value: object, said: str) -> None:
    assert said in (first_problem(changed(path, value), "report") or "")


def test_a_key_more_is_no_departure() -> None:
    assert first_problem(changed("size.zipped_bytes", 5), "report") is None


def test_a_picture_is_a_picture() -> None:
    found = copy.deepcopy(evidence())
    found["changes"][0]["flips"][0]["picture"] = "https://example.com/cat.png"
    assert "picture" in (first_problem(found, "evidence") or "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_no_json_at_all_is_taken_for_a_report(value: object) -> None:
    assert first_problem(value, "report") is not None


def rules(rule: Any, *, names: bool = False) -> Iterator[str]:
    """The keywords of a schema; below ``properties`` and ``$defs`` keys are names."""
    if isinstance(rule, dict):
        for key, inner in rule.items():
            if not names:
                yield key
            yield from rules(inner, names=not names and key in ("properties", "$defs"))
    elif isinstance(rule, list):
        for item in rule:
            yield from rules(item)


@pytest.mark.parametrize("name", ["report", "evidence"])
def test_the_schemas_use_no_keyword_that_is_not_read(name: Name) -> None:
    assert set(rules(schema(name))) <= KEYWORDS


@pytest.mark.parametrize("name", ["report", "evidence"])
def test_a_schema_is_one_for_other_tools_too(name: Name) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    rule = json.loads(schema_text(name))
    jsonschema.Draft202012Validator.check_schema(rule)
    validator = jsonschema.Draft202012Validator(rule)
    for found in (
        map(document, REPORTS) if name == "report" else [json.loads(json.dumps(evidence()))]
    ):
        validator.validate(found)
