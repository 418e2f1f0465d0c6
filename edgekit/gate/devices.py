"""What phones measured, as checks: what executed the graph, whether the figures hold, whether they
are within their limits, answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgekit.errors import SessionError
from edgekit.gate.check import (
    Check,
    Status,
    at_least,
    at_most,
    enough_rounds,
    not_measured,
    percent,
    side,
)
from edgekit.measure.devices.device import (
    Answers,
    AnswersOnly,
    DeviceFailure,
    DeviceLatency,
    Found,
    fallback,
)
from edgekit.measure.devices.prediction import surprise
from edgekit.measure.on_devices import OnDevices
from edgekit.numerics.intervals import CONFIDENCE, bootstrap_ratio_of_medians, median_interval
from edgekit.recipe.latency_spec import PhoneSpec


def check_devices(
    measured: Sequence[OnDevices], confidence: float = CONFIDENCE
) -> tuple[Check, ...]:
    """The checks of every phone, ``latency.<device>.<delegate>`` and what is held against what."""
    return tuple(
        check
        for entry in measured
        for found in entry.found
        for check in _checks(entry.asked, found, confidence)
    )


def _checks(asked: PhoneSpec, found: Found, confidence: float) -> Iterator[Check]:
    match found:
        case DeviceFailure():
            yield _failed(asked, found)
        case AnswersOnly():
            if not found.whole:
                yield _left_to_the_cpu(asked, found)
            yield _answers(f"latency.{found.device}.{asked.delegate}.answers", asked, found.answers)
        case DeviceLatency():
            yield from _measured(asked, found)
            for check in _figures(asked, found, confidence):
                yield replace(check, required=asked.required)


def _left_to_the_cpu(asked: PhoneSpec, found: AnswersOnly) -> Check:
    """Answers of a graph that the delegate did not take whole are partly the CPU's own."""
    return Check(
        name=f"latency.{found.device}.{asked.delegate}.delegate",
        required=asked.required and asked.on_fallback == "fail",
        limit=asked.delegate,
        value=None,
        status=Status.FAIL,
        why=f"{asked.delegate} did not take the whole graph; the CPU ran the rest",
    )


def _failed(asked: PhoneSpec, failure: DeviceFailure) -> Check:
    """A model that a phone refuses is a failure of the model's; all else proves nothing of it."""
    refused = isinstance(failure.error, SessionError)
    return Check(
        name=f"latency.{failure.device}.{asked.delegate}",
        required=asked.required,
        limit=None,
        value=None,
        status=Status.FAIL if refused else Status.NOT_MEASURED,
        why=failure.error.message,
    )


def _measured(asked: PhoneSpec, found: DeviceLatency) -> Iterator[Check]:
    name = f"latency.{found.device}.{asked.delegate}"
    effective, partly = found.quantized.delegation.effective, fallback(found)
    why = "; ".join(filter(None, [partly or f"{effective} executed the graph", surprise(found)]))
    if effective is None:
        status = Status.INCONCLUSIVE
    else:
        status = Status.PASS if partly is None else Status.FAIL
    yield Check(
        name=f"{name}.delegate",
        required=asked.required and asked.on_fallback == "fail",
        limit=asked.delegate,
        value=None if effective is None else effective.value,
        status=status,
        why=why,
    )
    yield Check(
        name=f"{name}.fit",
        required=asked.required,
        limit=None,
        value=None,
        status=Status.PASS if found.unfit is None else Status.INCONCLUSIVE,
        why=(
            "the rounds agree and the phone did not throttle"
            if found.unfit is None
            else f"{found.unfit}; measured {found.attempts} times"
        ),
    )
    if asked.answers:
        yield _answers(f"{name}.answers", asked, found.answers)


def _figures(asked: PhoneSpec, found: DeviceLatency, confidence: float) -> Iterator[Check]:
    """Times of rounds that cannot be believed decide nothing."""
    name = f"latency.{found.device}.{asked.delegate}"
    yield from _delegated(asked, found, f"{name}.delegated")
    rounds = np.array(found.quantized.rounds_ms)
    if asked.latency_ms_max is not None:
        interval = median_interval(rounds, confidence=confidence)
        status, word = side(interval.low, interval.high, asked.latency_ms_max)
        why = (
            f"the {percent(confidence)} interval {interval.low:.3g} to {interval.high:.3g} ms of "
            f"the median lies {word} the limit"
        )
        status, few = enough_rounds(status, len(rounds), confidence)
        why += few
        yield _estimate(
            f"{name}.ms", asked.latency_ms_max, found.quantized.median_ms, status, why, found.unfit
        )
    if asked.speedup_min is not None and found.reference is None:
        why = "there is no float .tflite to be faster than"
        yield not_measured(f"{name}.speedup", asked.speedup_min, why)
    elif asked.speedup_min is not None and found.reference is not None:
        before = np.array(found.reference.rounds_ms)
        interval = bootstrap_ratio_of_medians(before, rounds, seed=0, confidence=confidence)
        # More is better: the mirror image of a limit from above.
        status, word = side(-interval.high, -interval.low, -asked.speedup_min)
        why = (
            f"the {percent(confidence)} interval {interval.low:.2f} to {interval.high:.2f} lies "
            f"{word} the limit"
        )
        status, few = enough_rounds(status, len(rounds), confidence)
        why += few
        yield _estimate(
            f"{name}.speedup", asked.speedup_min, found.speedup, status, why, found.unfit
        )
    if asked.peak_memory_mb_max is not None:
        peak = found.quantized.peak_memory_mb
        if peak is None:
            why = "this build of benchmark_model tells no peak memory"
            yield not_measured(f"{name}.peak_memory_mb", asked.peak_memory_mb_max, why)
        else:
            why = f"benchmark_model took {peak:,.4g} MB at its peak"
            yield at_most(f"{name}.peak_memory_mb", asked.peak_memory_mb_max, peak, why)


def _delegated(asked: PhoneSpec, found: DeviceLatency, name: str) -> Iterator[Check]:
    """How much of the graph the delegate took, where the recipe asks for a share of it."""
    limit, took = asked.delegated_min, found.quantized.delegation
    if limit is None:
        return
    if took.effective is None:
        yield not_measured(name, limit, "the log does not say what executed the graph")
    elif took.effective is not found.requested:
        yield at_least(name, limit, 0.0, f"{took.effective} executed the graph")
    elif took.nodes is not None and took.graph_nodes:
        why = f"{asked.delegate} took {took.nodes} of {took.graph_nodes} nodes"
        yield at_least(name, limit, took.nodes / took.graph_nodes, why)
    elif took.complete:
        yield at_least(name, limit, 1.0, f"{asked.delegate} took the whole graph")
    else:
        yield not_measured(name, limit, "the log does not say how many nodes the delegate took")


def _estimate(
    name: str, limit: float, value: float | None, status: Status, why: str, unfit: str | None
) -> Check:
    if unfit is not None:
        status, why = Status.INCONCLUSIVE, f"{why}; not to be believed: {unfit}"
    return Check(name, True, limit, value, status, why)


def _answers(name: str, asked: PhoneSpec, answers: Answers | None) -> Check:
    limit = asked.agreement_min
    if answers is None:
        why = "this build of benchmark_model writes no outputs"
        return Check(name, False, limit, None, Status.NOT_MEASURED, why)
    same = round(answers.agreement * answers.n)
    unit = " steps" if answers.integer else ""
    gap = "no finite number" if answers.max_abs is None else f"at most {answers.max_abs:.3g}{unit}"
    holds = answers.max_abs is not None and answers.agreement >= limit
    return Check(
        name=name,
        required=asked.required,
        limit=limit,
        value=answers.agreement,
        status=Status.PASS if holds else Status.FAIL,
        why=f"the device's largest output is this machine's on {same} of {answers.n} samples; "
        f"outputs differ by {gap}",
    )
