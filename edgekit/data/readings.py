"""Does a function of the user's yield the same samples each time it is called?

It is called once a role. Samples are told apart by content, so roles stay apart whatever it yields,
but what nobody seeded is other data in the next run, and no result comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit.data.checks import Finding

COMPARED = 8
"""Samples at the start of a stream that are held against those of its other readings."""


class Readings:
    """What the functions of one run yielded first, in each of their readings so far."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str | None], list[str]] = {}
        self._unlike: dict[str, None] = {}

    def note(self, function: str, told: str | None, hashes: Sequence[str]) -> None:
        """A reading of ``function`` (``folder/file.py:name``), which was told the role ``told``, if
        it takes one: ``hashes`` of its samples, in the order they came."""
        first = self._first.setdefault((function, told), list(hashes[:COMPARED]))
        if any(one != other for one, other in zip(first, hashes, strict=False)):
            self._unlike[function] = None

    def findings(self) -> Iterable[Finding]:
        """``data.unseeded`` (a warning) for each function with two unlike readings."""
        for function in self._unlike:
            yield Finding(
                "data.unseeded",
                "warning",
                f"{Path(function).name} yields other samples, or the same in another order, each "
                "time it is called, so no result can be had a second time; seed what it draws or "
                "shuffles by.",
            )
