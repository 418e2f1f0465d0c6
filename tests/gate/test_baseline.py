"""Held against the last release: what is worse fails, and what cannot be compared is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.gate.baseline import check_baseline, packed_right
from edgekit.gate.check import Check, Status
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.classification import top
from edgekit.tasks.compare import compare
from edgekit.tasks.task import MetricAccuracy

OUTPUT = {"sqnr_db": 20.0, "max_abs": 1.0, "cosine": 0.99}
BEFORE: dict[str, Any] = {
    "recipe": "net",
    "size": {"bytes": 1000},
    "fidelity": {"agreement": 0.97, "outputs": {"scores": OUTPUT, "more": OUTPUT}},
    "accuracy": {
        "top1": {"quantized": 0.9, "quantized_ci_low": 0.88, "quantized_ci_high": 0.92, "n": 900},
        "mae": {
            "quantized": 2.0,
            "quantized_ci_low": 1.9,
            "quantized_ci_high": 2.1,
            "n": 900,
            "higher_is_better": False,
            "low": 0.0,
            "high": None,
        },
    },
    "latency": {
        "host": {
            "speedup": 2.0,
            "ci_low": 1.9,
            "ci_high": 2.1,
            "cpu": "A",
            "threads": 1,
            "int8_dot_product": True,
            "caveat": None,
        }
    },
    "data": {"fidelity": {"dataset": "d", "samples": 900, "fingerprint": "f"}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(BEFORE)
    *keys, last = path.split("/")
    place = found
    for key in keys:
        place = place[key]
    place[last] = value
    return found


def statuses(report: dict[str, Any]) -> dict[str, Status]:
    return {check.name: check.status for check in check_baseline(BEFORE, report)}


def test_the_same_release_passes_everything() -> None:
    found = statuses(BEFORE)
    assert list(found) == [
        "baseline.size",
        "baseline.agreement",
        "baseline.sqnr_db",
        "baseline.more.sqnr_db",
        "baseline.accuracy.top1",
        "baseline.accuracy.mae",
        "baseline.latency.host",
    ]
    assert set(found.values()) == {Status.PASS}


@pytest.mark.parametrize(
    ("path", "spared", "lost", "name"),
    [
        ("size/bytes", 1020, 1021, "size"),
        ("fidelity/agreement", 0.966, 0.964, "agreement"),
        ("fidelity/outputs/more/sqnr_db", 19.6, 19.4, "more.sqnr_db"),
        ("latency/host", {**BEFORE["latency"]["host"], "speedup": 1.85}, None, "latency.host"),
    ],
)
def test_a_little_is_to_spare_and_no_more(path: str, spared: Any, lost: Any, name: str) -> None:
    assert statuses(changed(path, spared))[f"baseline.{name}"] is Status.PASS
    if lost is not None:
        assert statuses(changed(path, lost))[f"baseline.{name}"] is Status.FAIL


@pytest.mark.parametrize(
    ("metric", "figure", "interval", "status"),
    [
        ("top1", 0.896, (0.87, 0.91), Status.PASS),
        ("top1", 0.88, (0.86, 0.91), Status.INCONCLUSIVE),
        ("top1", 0.85, (0.83, 0.88), Status.FAIL),
        ("top1", 0.95, (0.94, 0.96), Status.PASS),
        ("mae", 2.005, (1.9, 2.1), Status.PASS),
        ("mae", 2.05, (1.95, 2.2), Status.INCONCLUSIVE),
        ("mae", 2.5, (2.3, 2.7), Status.FAIL),
        ("mae", 1.0, (0.9, 1.1), Status.PASS),
        ("mae", 2.5, (None, None), Status.INCONCLUSIVE),
    ],
)
def test_an_accuracy_is_an_estimate(
    metric: str, figure: float, interval: tuple[float | None, float | None], status: Status
) -> None:
    low, high = interval
    one = BEFORE["accuracy"][metric]
    now = {**one, "quantized": figure, "quantized_ci_low": low, "quantized_ci_high": high}
    assert statuses(changed(f"accuracy/{metric}", now))[f"baseline.accuracy.{metric}"] is status


@pytest.mark.parametrize(
    ("host", "required", "status"),
    [
        ({"speedup": 1.5, "ci_low": 1.4, "ci_high": 1.6}, True, Status.FAIL),
        ({"speedup": 1.7, "ci_low": 1.6, "ci_high": 1.9}, True, Status.INCONCLUSIVE),
        ({"speedup": 1.0, "ci_low": 0.9, "ci_high": 1.1, "cpu": "B"}, False, Status.FAIL),
        (
            {"speedup": 1.0, "ci_low": 0.9, "ci_high": 1.1, "int8_dot_product": False},
            False,
            Status.FAIL,
        ),
    ],
)
def test_a_speed_up_decides_on_the_same_cpu(
    host: dict[str, Any], required: bool, status: Status
) -> None:
    report = changed("latency/host", {**BEFORE["latency"]["host"], **host})
    (found,) = [each for each in check_baseline(BEFORE, report) if "latency" in each.name]
    assert (found.required, found.status) == (required, status)


def test_what_was_not_timed_is_not_compared() -> None:
    untimed = changed("latency/host", {"measured": False, "why": "latency.enabled is false"})
    assert "baseline.latency.host" not in statuses(untimed)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("recipe", "other", "recipe differ (net there, other here)"),
        ("data/fidelity/fingerprint", "g", "samples of fidelity differ"),
        ("data/labelled", BEFORE["data"]["fidelity"], "samples of labelled differ"),
        ("accuracy", {}, "metrics differ"),
        ("fidelity/outputs", {"other": OUTPUT}, "outputs differ"),
    ],
)
def test_a_baseline_of_something_else_is_refused(path: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_baseline(BEFORE, changed(path, value))
    assert words in refused.value.message


# Sample by sample -------------------------------------------------------------------------------


def answered(n: int, wrong: set[int]) -> MetricAccuracy:
    """top1 of two classes in turn; the float model is always right."""
    labels = np.arange(n) % 2
    chosen = np.array([label ^ (i in wrong) for i, label in enumerate(labels)])
    ids = tuple(map(str, range(n)))
    pair = [Predictions({"y": np.eye(2)[each]}, ids, labels) for each in (labels, chosen)]
    return compare(top(1), *pair, primary="y")


def release(n: int, wrong: set[int], **changes: Any) -> dict[str, Any]:
    """A report of that accuracy alone."""
    metric = answered(n, wrong)
    accuracy = {"top1": metric}
    whole = {**BEFORE, "accuracy": {"top1": metric.to_dict()}, "right": packed_right(accuracy)}
    return {**whole, **changes}


def accuracy_check(before: Any, now: Any, **keys: Any) -> Check:
    found = [each for each in check_baseline(before, now, **keys) if "accuracy" in each.name]
    (only,) = found
    return only


def test_two_releases_are_compared_sample_by_sample() -> None:
    """Each by itself has an interval of +-2 points; together they differ in 12 of 1,003."""
    before = release(1003, set(range(100)))
    worse = release(1003, set(range(112)))
    check = accuracy_check(before, worse)
    assert (check.name, check.status) == ("baseline.accuracy.top1", Status.FAIL)
    assert "12 of 1003 samples lost since, 0 won" in check.why
    assert accuracy_check(before, before).status is Status.PASS
    mixed = release(1003, set(range(50, 162)))
    assert accuracy_check(before, mixed).status is Status.INCONCLUSIVE
    unpaired = {key: value for key, value in before.items() if key != "right"}
    assert accuracy_check(unpaired, worse).status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    ("limit", "status"), [(0.03, Status.PASS), (0.015, Status.INCONCLUSIVE), (0.005, Status.FAIL)]
)
def test_a_limit_of_what_may_be_lost_since_is_judged_by_the_whole_interval(
    limit: float, status: Status
) -> None:
    before, worse = release(1003, set()), release(1003, set(range(14)))
    check = accuracy_check(before, worse, drop_max=limit)
    assert (check.name, check.status, check.limit) == (
        "baseline.accuracy.top1.drop",
        status,
        limit,
    )
    assert check.value == pytest.approx(14 / 1003)


def test_the_confidence_is_the_gates() -> None:
    before, worse = release(1003, set()), release(1003, set(range(14)))
    keys = {"drop_max": 0.022}
    assert accuracy_check(before, worse, **keys, confidence=0.8).status is Status.PASS
    sure = accuracy_check(before, worse, **keys, confidence=0.999)
    assert sure.status is Status.INCONCLUSIVE
    assert "99.9 % interval" in sure.why


def test_a_baseline_that_does_not_say_what_it_was_right_on_never_passes_a_limit() -> None:
    now = release(1003, set())
    old = {key: value for key, value in now.items() if key != "right"}
    assert accuracy_check(old, now, drop_max=0.5).status is Status.NOT_MEASURED
    others = {**BEFORE["data"], "labelled": {**BEFORE["data"]["fidelity"], "skipped": ["a"]}}
    ours = {**BEFORE["data"], "labelled": {**BEFORE["data"]["fidelity"], "skipped": ["b"]}}
    before, after = release(1003, set(), data=others), release(1003, set(), data=ours)
    assert accuracy_check(before, after, drop_max=0.5).status is Status.NOT_MEASURED


@pytest.mark.parametrize("text", ["not base64!", "", "AAAA"])
def test_damaged_bits_are_refused(text: str) -> None:
    now = release(1003, set())
    with pytest.raises(UsageError, match=r"the baseline is damaged: right\.top1"):
        check_baseline({**now, "right": {"top1": text}}, now)


@given(st.lists(st.booleans(), min_size=2, max_size=70))
def test_bits_survive_the_packing(right: list[bool]) -> None:
    wrong = {i for i, yes in enumerate(right) if not yes}
    now = release(len(right), wrong)
    check = accuracy_check(now, now)
    assert check.value == pytest.approx(sum(right) / len(right))
    assert "0 of" in check.why


def test_a_limit_on_what_was_lost_is_not_forgotten_where_nothing_was_scored() -> None:
    unlabelled = {**BEFORE, "accuracy": {}}
    check = accuracy_check(unlabelled, unlabelled, drop_max=0.01)
    assert (check.name, check.status) == ("baseline.accuracy.drop", Status.NOT_MEASURED)
    assert "labelled samples" in check.why


def test_why_releases_cannot_be_compared_sample_by_sample() -> None:
    one = release(100, {1, 2})
    bare = {key: value for key, value in one.items() if key != "right"}
    data = {**BEFORE["data"], "labelled": {**BEFORE["data"]["fidelity"], "skipped": ["a.png: cut"]}}
    whole = {**data, "labelled": {**data["labelled"], "skipped": []}}
    for before, now, words in (
        (bare, one, "judge the last release again"),
        (bare, bare, "of one recording are not independent"),
        ({**one, "data": whole}, {**one, "data": data}, "left out different samples"),
    ):
        check = accuracy_check(before, now, drop_max=0.01)
        assert (check.name, check.status) == ("baseline.accuracy.top1.drop", Status.NOT_MEASURED)
        assert words in check.why


def test_damaged_bits_come_with_a_way_out() -> None:
    one = release(100, {1, 2})
    with pytest.raises(UsageError, match=r"right\.top1 is no base64") as refused:
        check_baseline({**one, "right": {"top1": "???"}}, one)
    assert "edgekit gate LAST_RELEASE" in str(refused.value.hint)
