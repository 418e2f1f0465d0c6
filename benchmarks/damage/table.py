"""What was measured, as the Markdown of docs/damage.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from scipy.stats import binomtest

from benchmarks.damage.calibrations import CALIBRATIONS
from benchmarks.damage.files import DAMAGES
from edgekit.gate.check import Verdict

UNDAMAGED = "undamaged"
BINS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
"""Points of top-1 that are lost: where one bin ends and the next begins."""
WORDS = tuple(each.value for each in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS))

Rows = Sequence[Mapping[str, Any]]


def tables(found: Mapping[str, Any]) -> str:
    """All of them."""
    rows = found["rows"]
    parts = [
        "By what is lost, the whole verdict:",
        _by_loss(rows, "verdicts"),
        "By what is lost, the check of the accuracy alone:",
        _by_loss(rows, "accuracy"),
        "By kind:",
        _by_kind(rows),
        "Undamaged:",
        _undamaged(rows),
        "Mistakes in the recipe:",
        _unseen(found["unseen"]),
    ]
    return "\n\n".join(parts)


def bin_of(row: Mapping[str, Any]) -> int:
    """The place among ``bin_names`` of what the file loses on all pictures."""
    return sum(100 * row["lost"] >= end for end in BINS)


def bin_names() -> tuple[str, ...]:
    """From the least lost to the most."""
    between = [f"{low:g} to {high:g}" for low, high in pairwise(BINS)]
    return (f"below {BINS[0]:g}", *between, f"{BINS[-1]:g} and more")


def sizes(rows: Rows) -> list[str]:
    """The numbers of pictures, all of them first; as JSON has them."""
    return list(rows[0]["verdicts"])


def shares(rows: Rows, what: str, size: str) -> tuple[float, ...]:
    """Of verdicts on ``rows``, by ``WORDS``."""
    words = [word for row in rows for word in row[what][size]]
    return tuple(words.count(each) / len(words) for each in WORDS)


def in_bins(rows: Rows) -> list[list[Mapping[str, Any]]]:
    """Different files by what they lose; those that seeds do not change count once."""
    files = {(row["name"], row["severity"], row["lost"], row["kept"]): row for row in rows}
    return [
        [row for row in files.values() if bin_of(row) == place] for place in range(len(BINS) + 1)
    ]


def _by_loss(rows: Rows, what: str) -> str:
    of = [f"{int(size):,} pictures" for size in sizes(rows)]
    lines = _head("top-1 lost, points", "files", *of)
    for name, mine in zip(bin_names(), in_bins(rows), strict=True):
        if mine:
            cells = [_percents(shares(mine, what, size)) for size in sizes(rows)]
            lines.append(_line(name, str(len(mine)), *cells))
    return "\n".join(lines)


def _by_kind(rows: Rows) -> str:
    of = [f"{int(size):,}" for size in sizes(rows)]
    head = _head("damage", "severity", "top-1 lost, points", "same class, %", *of)
    return "\n".join([*head, *_kinds(rows)])


def _kinds(rows: Rows) -> Iterator[str]:
    for name, severity in dict.fromkeys((row["name"], row["severity"]) for row in rows):
        mine = [row for row in rows if (row["name"], row["severity"]) == (name, severity)]
        told = "" if name == UNDAMAGED else _told(name).format(severity)
        yield _line(
            name,
            told,
            _span([100 * row["lost"] for row in mine], 1),
            _span([100 * row["kept"] for row in mine], 1),
            *(_percents(shares(mine, "verdicts", size)) for size in sizes(rows)),
        )


def _told(name: str) -> str:
    return DAMAGES[name].told if name in DAMAGES else CALIBRATIONS[name].told


def _undamaged(rows: Rows) -> str:
    mine = [row for row in rows if row["name"] == UNDAMAGED]
    lines = _head("pictures", "verdicts", "pass", "inconclusive", "fail", "share that fails")
    whole, *_ = sizes(rows)
    words = [word for row in mine for word in row["verdicts"][whole]]
    lines.append(_line(f"all {int(whole):,}", *_counts(words)))
    for size in sizes(rows):
        words = [word for row in mine for word in row["redrawn"][size]]
        lines.append(_line(f"{int(size):,}, redrawn", *_counts(words)))
    return "\n".join(lines)


def _counts(words: Sequence[str]) -> Iterator[str]:
    failed = words.count(Verdict.FAIL.value)
    exact = binomtest(failed, len(words)).proportion_ci(method="exact")
    yield str(len(words))
    yield from (str(words.count(each)) for each in reversed(WORDS))
    share = failed / len(words)
    yield f"{share:.1%} [{exact.low:.1%}, {exact.high:.1%}]"


def _unseen(mistakes: Sequence[Mapping[str, Any]]) -> str:
    lines = _head("mistake", "top-1 of float, %", "of the file, %", "verdict")
    for each in mistakes:
        tops = (f"{100 * each[key]:.1f}" for key in ("float_top1", "top1"))
        lines.append(_line(each["mistake"], *tops, each["verdict"]))
    return "\n".join(lines)


def _percents(parts: Sequence[float]) -> str:
    return " / ".join(f"{100 * part:.0f}" for part in parts)


def _span(values: Sequence[float], digits: int) -> str:
    # Adding zero makes a rounded -0.0 plain.
    ends = [f"{round(value, digits) + 0.0:.{digits}f}" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _head(*cells: str) -> list[str]:
    return [_line(*cells), "|---" * len(cells) + "|"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
