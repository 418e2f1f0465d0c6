"""Checks of what phones measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.errors import DeviceError, MissingError, SessionError
from edgekit.gate.check import Check, Status
from edgekit.gate.devices import check_devices
from edgekit.measure.devices.device import (
    Answers,
    AnswersOnly,
    Delegate,
    Delegation,
    DeviceFailure,
    DeviceLatency,
    Found,
    ModelTimes,
)
from edgekit.measure.on_devices import OnDevices
from edgekit.recipe.latency_spec import PhoneSpec

TIMES = ModelTimes(
    median_ms=10,
    p90_ms=11,
    p90_of="rounds",
    statistic="median",
    min_ms=9,
    max_ms=12,
    spread=0.01,
    runs=250,
    warm_up_runs=45,
    rounds_ms=(10.0, 10.0),
    delegation=Delegation(Delegate.GPU, complete=True),
)
FOUND = DeviceLatency(
    device="adb:X",
    serial="X",
    model="Acme Phone 3",
    requested=Delegate.GPU,
    engine="benchmark_model",
    quantized=TIMES,
    threads=1,
    rounds=2,
)


def checks(found: Found, **asked: object) -> dict[str, Check]:
    phone = replace(PhoneSpec(delegate="gpu", answers=4), **asked)  # type: ignore[arg-type]
    prefix = "latency.adb:X.gpu"
    return {
        check.name.removeprefix(prefix): check
        for check in check_devices([OnDevices(phone, (found,))])
    }


@pytest.mark.parametrize(
    ("delegation", "status", "why"),
    [
        (Delegation(Delegate.GPU, complete=True), Status.PASS, "gpu executed the graph"),
        (
            Delegation(Delegate.GPU, False, nodes=40, graph_nodes=58, partitions=3),
            Status.FAIL,
            "gpu took 40 of 58 nodes, in 3 partitions; the CPU the rest",
        ),
        (
            Delegation(Delegate.CPU),
            Status.FAIL,
            "gpu was asked for, and cpu executed the graph",
        ),
        (
            Delegation(),
            Status.INCONCLUSIVE,
            "gpu was asked for; the log does not say what executed the graph",
        ),
    ],
)
def test_what_executed_the_graph_is_held_against_what_was_asked(
    delegation: Delegation, status: Status, why: str
) -> None:
    found = replace(FOUND, quantized=replace(TIMES, delegation=delegation))

    check = checks(found, on_fallback="fail")[".delegate"]

    assert (check.status, check.why, check.required) == (status, why, True)


@pytest.mark.parametrize(
    ("answers", "status", "why"),
    [
        (Answers(4, 1.0, 1.0, integer=True), Status.PASS, "differ by at most 1 steps"),
        (Answers(4, 0.5, 90.0, integer=True), Status.FAIL, "on 2 of 4 samples"),
        (Answers(4, 1.0, None, integer=False), Status.FAIL, "no finite number"),
        (None, Status.NOT_MEASURED, "writes no outputs"),
    ],
)
def test_a_delegate_that_answers_otherwise_is_caught(
    answers: Answers | None, status: Status, why: str
) -> None:
    check = checks(replace(FOUND, answers=answers))[".answers"]

    assert check.status is status
    assert why in check.why
    assert check.required is (answers is not None)


def test_a_device_that_only_answers_is_held_to_that_alone() -> None:
    exact = Answers(4, 1.0, 0.0, integer=True)

    made = checks(AnswersOnly("adb:X", Delegate.GPU, "an engine", exact, "no clock"))

    assert list(made) == [".answers"]
    assert made[".answers"].status is Status.PASS


@pytest.mark.parametrize("on_fallback", ["warn", "fail"])
def test_answers_of_a_graph_that_was_left_to_the_cpu_are_not_the_delegates(
    on_fallback: str,
) -> None:
    exact = Answers(4, 1.0, 0.0, integer=True)
    found = AnswersOnly("swiftshader", Delegate.GPU, "an engine", exact, "no clock", whole=False)
    (check,) = [
        each
        for name, each in checks(found, on_fallback=on_fallback).items()
        if name.endswith(".delegate")
    ]
    assert (check.status, check.required) == (Status.FAIL, on_fallback == "fail")


def test_answers_that_nobody_asked_for_are_no_check() -> None:
    assert ".answers" not in checks(FOUND, answers=0)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SessionError("refused"), Status.FAIL),
        (DeviceError("unplugged"), Status.NOT_MEASURED),
        (MissingError("none"), Status.NOT_MEASURED),
    ],
)
def test_only_a_model_that_is_refused_fails(error: Exception, status: Status) -> None:
    failure = DeviceFailure("adb:X", Delegate.GPU, error)  # type: ignore[arg-type]

    (check,) = checks(failure).values()

    assert (check.status, check.why) == (status, str(error))


ROUNDS = (9.8, 9.9, 10.0, 10.0, 10.1, 10.2)


def timed(**changes: object) -> DeviceLatency:
    """Twice as fast as the float model, in rounds that differ a little."""
    quantized = replace(TIMES, rounds_ms=ROUNDS, peak_memory_mb=12.5)
    before = replace(TIMES, rounds_ms=tuple(2 * each for each in reversed(ROUNDS)))
    made = replace(FOUND, quantized=quantized, reference=before, speedup=2.0)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "status"),
    [(10.3, Status.PASS), (10.05, Status.INCONCLUSIVE), (9.7, Status.FAIL)],
)
def test_milliseconds_are_judged_by_their_interval(limit: float, status: Status) -> None:
    check = checks(timed(), latency_ms_max=limit)[".ms"]
    assert (check.status, check.value, check.required) == (status, 10, True)
    assert "interval 9.8 to 10.2 ms" in check.why
    unfit = checks(timed(unfit="the rounds differ"), latency_ms_max=limit)[".ms"]
    assert unfit.status is Status.INCONCLUSIVE
    assert not checks(timed(), latency_ms_max=limit, required=False)[".ms"].required


@pytest.mark.parametrize(
    ("limit", "status"), [(1.8, Status.PASS), (2.0, Status.INCONCLUSIVE), (2.2, Status.FAIL)]
)
def test_a_speed_up_there_is_judged_by_its_interval(limit: float, status: Status) -> None:
    check = checks(timed(), speedup_min=limit)[".speedup"]
    assert (check.status, check.value) == (status, 2.0)
    alone = checks(timed(reference=None, speedup=None), speedup_min=limit)[".speedup"]
    assert alone.status is Status.NOT_MEASURED


def test_rounds_too_few_for_their_confidence_decide_nothing() -> None:
    """Of five the whole range holds the median in 94 of 100 cases."""
    few = replace(TIMES, rounds_ms=ROUNDS[:5])
    found = timed(quantized=few, reference=replace(few, rounds_ms=(20.0,) * 5))
    made = checks(found, latency_ms_max=20, speedup_min=1.1)
    for name in (".ms", ".speedup"):
        assert made[name].status is Status.INCONCLUSIVE
        assert "5 rounds are too few for 95 %, take at least 6" in made[name].why


def test_peak_memory_there() -> None:
    for limit, status in ((12.5, Status.PASS), (12.4, Status.FAIL)):
        check = checks(timed(), peak_memory_mb_max=limit)[".peak_memory_mb"]
        assert (check.status, check.value) == (status, 12.5)
    untold = checks(replace(FOUND), peak_memory_mb_max=5.0)[".peak_memory_mb"]
    assert untold.status is Status.NOT_MEASURED


@pytest.mark.parametrize(
    ("delegation", "status", "value"),
    [
        (Delegation(Delegate.GPU, complete=True), Status.PASS, 1.0),
        (Delegation(Delegate.GPU, False, nodes=9, graph_nodes=10), Status.PASS, 0.9),
        (Delegation(Delegate.GPU, False, nodes=8, graph_nodes=10), Status.FAIL, 0.8),
        (Delegation(Delegate.CPU), Status.FAIL, 0.0),
        (Delegation(Delegate.GPU, complete=False), Status.NOT_MEASURED, None),
        (Delegation(), Status.NOT_MEASURED, None),
    ],
)
def test_a_share_of_the_graph_that_the_delegate_has_to_take(
    delegation: Delegation, status: Status, value: float | None
) -> None:
    found = replace(FOUND, quantized=replace(TIMES, delegation=delegation))
    check = checks(found, delegated_min=0.9)[".delegated"]
    assert (check.status, check.value, check.required) == (status, value, True)
    assert ".delegated" not in checks(found)
