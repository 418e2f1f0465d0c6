"""What phones measured, as checks: what executed the graph, whether the figures hold, answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.errors import SessionError
from edgekit.gate.check import Check, Status
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
from edgekit.recipe.schema import PhoneSpec


def check_devices(measured: Sequence[OnDevices]) -> tuple[Check, ...]:
    """The checks of every phone, ``latency.<device>.<delegate>`` and what is held against what."""
    return tuple(
        check
        for entry in measured
        for found in entry.found
        for check in _checks(entry.asked, found)
    )


def _checks(asked: PhoneSpec, found: Found) -> Iterator[Check]:
    match found:
        case DeviceFailure():
            yield _failed(asked, found)
        case AnswersOnly():
            yield _answers(f"latency.{found.device}.{asked.delegate}.answers", asked, found.answers)
        case DeviceLatency():
            yield from _measured(asked, found)


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
