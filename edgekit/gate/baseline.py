"""No worse than the last release: one report.json held against another of the same recipe and data.

What describes these samples (agreement, SQNR) and the file (size) is compared as measured, with a
little to spare. An accuracy is an estimate: it failed where the former figure lies beyond its 95 %
interval, and it is undecided where it fell by more than ``FELL_MAX``, but chance could have done
it. The speed-up decides only on the same CPU, where that CPU speaks for a product at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgekit.errors import UsageError
from edgekit.gate.check import Check, Status

Document = Mapping[str, Any]

SIZE_GROWTH_MAX = 0.02
AGREEMENT_LOST_MAX = 0.005
SQNR_LOST_MAX_DB = 0.5
FELL_MAX = 0.005
"""Of a rate, or as a share of the former figure of another metric."""
SPEEDUP_LOST_MAX = 0.1


def check_baseline(previous: Document, report: Document) -> tuple[Check, ...]:
    """``report`` held against ``previous``; both are documents that fit report.json's schema.

    Raises:
        UsageError: they are not of the same recipe, task and samples; the difference is named.
    """
    _check_alike(previous, report)
    return (
        *_size(previous, report),
        *_fidelity(previous["fidelity"], report["fidelity"]),
        *_accuracy(previous["accuracy"], report["accuracy"]),
        *_latency(previous["latency"]["host"], report["latency"]["host"]),
    )


def _check_alike(previous: Document, report: Document) -> None:
    def used(document: Document, use: str) -> tuple[Any, ...] | None:
        data = document["data"].get(use)
        return None if data is None else (data["dataset"], data["samples"], data["fingerprint"])

    pairs = [
        ("recipe", previous["recipe"], report["recipe"]),
        *(
            (f"samples of {use}", used(previous, use), used(report, use))
            for use in ("fidelity", "labelled")
        ),
        ("metrics", sorted(previous["accuracy"]), sorted(report["accuracy"])),
        ("outputs", *(sorted(each["fidelity"]["outputs"]) for each in (previous, report))),
    ]
    for what, before, now in pairs:
        if before != now:
            raise UsageError(
                f"the baseline is of something else: {what} differ ({before} there, {now} here)",
                hint="Make it from this recipe and data: edgekit gate LAST_RELEASE --recipe ...",
            )


def _size(previous: Document, report: Document) -> Iterator[Check]:
    before, now = previous["size"]["bytes"], report["size"]["bytes"]
    limit = int(before * (1 + SIZE_GROWTH_MAX))
    yield _check(
        "baseline.size",
        limit,
        now,
        Status.PASS if now <= limit else Status.FAIL,
        f"{now:,} bytes after {before:,}; {SIZE_GROWTH_MAX:.0%} more are allowed",
    )


def _fidelity(previous: Document, found: Document) -> Iterator[Check]:
    if previous["agreement"] is not None and found["agreement"] is not None:
        yield _no_lower(
            "baseline.agreement", previous["agreement"], found["agreement"], AGREEMENT_LOST_MAX
        )
    for place, name in enumerate(found["outputs"]):
        before, now = (each["outputs"][name]["sqnr_db"] for each in (previous, found))
        label = "baseline.sqnr_db" if place == 0 else f"baseline.{name}.sqnr_db"
        yield _no_lower(label, before, now, SQNR_LOST_MAX_DB)


def _accuracy(previous: Document, found: Document) -> Iterator[Check]:
    for name, metric in found.items():
        before, now = previous[name]["quantized"], metric["quantized"]
        sign = 1 if metric.get("higher_is_better", True) else -1
        rate = (metric.get("low", 0), metric.get("high", 1)) == (0, 1)
        spare = FELL_MAX if rate else FELL_MAX * abs(before)
        ends = (metric["quantized_ci_low"], metric["quantized_ci_high"])
        best = None if None in ends else max(sign * end for end in ends)
        if sign * now >= sign * before - spare:
            status, word = Status.PASS, "no worse than"
        elif best is not None and best < sign * before:
            status, word = Status.FAIL, "certainly worse than"
        else:
            status, word = Status.INCONCLUSIVE, "worse than, by what chance could do,"
        yield _check(
            f"baseline.accuracy.{name}",
            before - sign * spare,
            now,
            status,
            f"{now:.4g} is {word} the {before:.4g} of before ({metric['n']} samples)",
        )


def _latency(previous: Document, found: Document) -> Iterator[Check]:
    if "speedup" not in previous or "speedup" not in found:
        return
    limit = previous["speedup"] * (1 - SPEEDUP_LOST_MAX)
    if found["ci_low"] >= limit or found["speedup"] >= limit:
        status = Status.PASS
    else:
        status = Status.FAIL if found["ci_high"] < limit else Status.INCONCLUSIVE
    why = f"{found['speedup']:.2f} x after {previous['speedup']:.2f} x"
    same = all(previous[key] == found[key] for key in ("cpu", "threads"))
    decides = same and found["int8_dot_product"] is not False and found["caveat"] is None
    if not same:
        why += f"; not held against the model: measured on {previous['cpu']} then"
    elif not decides:
        why += "; not held against the model: this CPU's INT8 does not speak for a phone's"
    yield _check("baseline.latency.host", limit, found["speedup"], status, why, required=decides)


def _no_lower(name: str, before: float, now: float, spare: float) -> Check:
    status = Status.PASS if now >= before - spare else Status.FAIL
    return _check(
        name, before - spare, now, status, f"{now:.4g} after {before:.4g}; {spare:g} may be lost"
    )


def _check(
    name: str, limit: float, value: float, status: Status, why: str, *, required: bool = True
) -> Check:
    return Check(name, required, limit, value, status, why)
