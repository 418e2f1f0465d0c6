"""Held against the last release: what is worse fails, and what cannot be compared is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from edgekit.errors import UsageError
from edgekit.gate.baseline import check_baseline
from edgekit.gate.check import Status

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
