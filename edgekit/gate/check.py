"""One check of the gate, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED
from edgekit.numerics.intervals import rounds_to_be_sure


class Status(StrEnum):
    """What became of one check."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not_measured"


class Verdict(StrEnum):
    """What became of the gate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """What the command line returns; continuous integration decides on nothing else."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: EXIT_PASSED,
    Verdict.FAIL: EXIT_FAILED,
    Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE,
}


@dataclass(frozen=True)
class Check:
    """One limit held against one value. ``why`` is a sentence a person can act on."""

    name: str
    required: bool
    limit: float | str | None
    value: float | str | None
    status: Status
    why: str


def at_most(name: str, limit: float, value: float, why: str) -> Check:
    """A figure that is compared as measured; the limit itself passes."""
    status = Status.PASS if value <= limit else Status.FAIL
    return Check(name, True, limit, value, status, f"{why}; at most {limit:,.10g} is allowed")


def at_least(name: str, limit: float, value: float, why: str) -> Check:
    """As ``at_most``, the other way round."""
    status = Status.PASS if value >= limit else Status.FAIL
    return Check(name, True, limit, value, status, f"{why}; at least {limit:,.10g} is asked for")


def not_measured(name: str, limit: float, why: str) -> Check:
    """A limit that nothing was measured for: never a pass."""
    return Check(name, True, limit, None, Status.NOT_MEASURED, why)


def side(low: float, high: float, limit: float) -> tuple[Status, str]:
    """Where an estimate's interval lies to the most it may be, and the word for it: it passes or
    fails only as a whole."""
    if high <= limit:
        return Status.PASS, "within"
    if low > limit:
        return Status.FAIL, "beyond"
    return Status.INCONCLUSIVE, "across"


def enough_rounds(status: Status, rounds: int, confidence: float) -> tuple[Status, str]:
    """``status`` of a time or a ratio of times, and a remark for its reason: too few rounds decide
    nothing, whatever their interval."""
    needed = rounds_to_be_sure(confidence)
    if rounds >= needed or status is Status.INCONCLUSIVE:
        return status, ""
    few = f"; {rounds} rounds are too few for {percent(confidence)}, take at least {needed}"
    return Status.INCONCLUSIVE, few


def percent(confidence: float) -> str:
    """``95 %``, for sentences."""
    return f"{100 * confidence:.6g} %"


def verdict(checks: Sequence[Check]) -> Verdict:
    """Fail if a required check failed; else inconclusive if one could not be decided; else pass."""
    required = [check.status for check in checks if check.required]
    if Status.FAIL in required:
        return Verdict.FAIL
    if Status.INCONCLUSIVE in required or Status.NOT_MEASURED in required:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS
