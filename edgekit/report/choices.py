"""What was chosen on the dev samples, in lines that wrap at any width."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.choose import Candidate, Choice
from edgekit.report.units import size_text

_BY = {
    "only_candidate": "the only one that came to anything",
    "promise": "the only one that is what the recipe asks for",
    "agreement": "by its agreement with the float model",
    "sqnr_db": "by SQNR",
    "size_bytes": "by size",
    "order": "the first of equals",
}


def choice_lines(choice: Choice) -> Iterator[str]:
    """What was chosen and why; a line for each candidate, the chosen one first."""
    on = "" if choice.on is None else f" on {choice.on.samples} {choice.on.role} samples"
    yield f"{choice.of} {choice.chosen}: {_BY[choice.by]}{on}"
    for candidate in sorted(choice.candidates, key=lambda each: each.name != choice.chosen):
        yield f"  {candidate.name}: {', '.join(_figures(candidate))}"


def _figures(candidate: Candidate) -> Iterator[str]:
    if candidate.error is not None:
        yield candidate.error
        return
    if candidate.agreement is not None:
        yield f"same class {candidate.agreement:.2%}"
    if candidate.sqnr_db:
        yield f"SQNR {candidate.primary_db:.1f} dB"
    if candidate.size_bytes is not None:
        yield size_text(candidate.size_bytes)
    if candidate.float_ops:
        yield f"{candidate.float_ops} float op{'s' if candidate.float_ops > 1 else ''}"
    yield f"made in {candidate.seconds:.1f} s"
    if candidate.lost is not None:
        yield f"not taken: {candidate.lost}"
