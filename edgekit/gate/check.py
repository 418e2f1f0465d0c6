"""One check of the gate, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED


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


def verdict(checks: Sequence[Check]) -> Verdict:
    """Fail if a required check failed; else inconclusive if one could not be decided; else pass."""
    required = [check.status for check in checks if check.required]
    if Status.FAIL in required:
        return Verdict.FAIL
    if Status.INCONCLUSIVE in required or Status.NOT_MEASURED in required:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS
