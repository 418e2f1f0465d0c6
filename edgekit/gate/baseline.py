"""No worse than the last release: one report.json held against another of the same recipe and data.

What describes these samples (agreement, SQNR) and the file (size) is compared as measured, with a
little to spare. An accuracy is an estimate: it failed where it fell by more than ``FELL_MAX`` and
chance could not have done it, and is undecided where it could. Both releases answered the same
samples, so of a share of right answers that is a paired comparison: reports hold which were right
(``packed_right``). The speed-up decides only on the same CPU, where that CPU speaks for a product
at all.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.errors import UsageError
from edgekit.gate.check import Check, Status, not_measured, percent, side
from edgekit.numerics.intervals import CONFIDENCE, paired_difference
from edgekit.tasks.compare import right_answers
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Array

Document = Mapping[str, Any]

SIZE_GROWTH_MAX = 0.02
AGREEMENT_LOST_MAX = 0.005
SQNR_LOST_MAX_DB = 0.5
FELL_MAX = 0.005
"""Of a rate, or as a share of the former figure of another metric."""
SPEEDUP_LOST_MAX = 0.1


def check_baseline(
    previous: Document,
    report: Document,
    *,
    drop_max: float | None = None,
    confidence: float = CONFIDENCE,
) -> tuple[Check, ...]:
    """``report`` held against ``previous``; both are documents that fit report.json's schema, the
    intervals of ``report`` at ``confidence``. ``drop_max`` is what a share of right answers may
    have lost, judged by its interval.

    Raises:
        UsageError: they are not of the same recipe, task and samples; the difference is named. Or
            what ``previous`` was right on cannot be read.
    """
    _check_alike(previous, report)
    return (
        *_size(previous, report),
        *_fidelity(previous["fidelity"], report["fidelity"]),
        *_accuracy(previous, report, drop_max, confidence),
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


def _accuracy(
    previous: Document, report: Document, drop_max: float | None, confidence: float
) -> Iterator[Check]:
    right = _rights(previous, report)
    limited = False
    for name, metric in report["accuracy"].items():
        check = f"baseline.accuracy.{name}"
        limited |= name in right or metric.get("interval") == "tango"
        if name in right:
            yield _paired(check, *right[name], drop_max, confidence)
        elif drop_max is not None and metric.get("interval") == "tango":
            why = _why_not_paired(previous, report, name)
            yield not_measured(f"{check}.drop", drop_max, why)
        else:
            yield _fallen(check, previous["accuracy"][name]["quantized"], metric)
    if drop_max is not None and not limited:
        why = "no share of right answers was scored: are there labelled samples?"
        yield not_measured("baseline.accuracy.drop", drop_max, why)


def _why_not_paired(previous: Document, report: Document, name: str) -> str:
    if name not in report.get("right", {}):
        return (
            "samples of one recording are not independent, and are not compared one by one; "
            "remove gate.baseline_drop_max"
        )
    if name not in previous.get("right", {}):
        return (
            "the baseline does not say on which samples it was right: judge the last release "
            "again, edgekit gate LAST_RELEASE --recipe ..."
        )
    return "the two left out different samples (data.labelled.skipped): judge both on the same data"


def _paired(
    name: str, before: Array, now: Array, drop_max: float | None, confidence: float
) -> Check:
    """Two models of the same samples, sample by sample."""
    n = len(now)
    lost, won = int((before & ~now).sum()), int((now & ~before).sum())
    interval, drop = paired_difference(lost, won, n, confidence), (lost - won) / n
    told = (
        f"{lost} of {n} samples lost since, {won} won; the {percent(confidence)} interval of the "
        f"drop is {interval.low:+.4f} to {interval.high:+.4f}"
    )
    if drop_max is not None:
        status, word = side(interval.low, interval.high, drop_max)
        return _check(f"{name}.drop", drop_max, drop, status, f"{told}, {word} the limit")
    if drop <= FELL_MAX:
        status, word = Status.PASS, "no worse than"
    elif interval.low > 0:
        status, word = Status.FAIL, "certainly worse than"
    else:
        status, word = Status.INCONCLUSIVE, "worse than, by what chance could do,"
    was, is_now = float(before.mean()), float(now.mean())
    why = f"{is_now:.4g} is {word} the {was:.4g} of before: {told}"
    return _check(name, was - FELL_MAX, is_now, status, why)


def _fallen(name: str, before: float, metric: Document) -> Check:
    """By the interval of the new figure alone: which samples were right is not known."""
    now, sign = metric["quantized"], 1 if metric.get("higher_is_better", True) else -1
    spare = FELL_MAX if _is_rate(metric) else FELL_MAX * abs(before)
    ends = (metric["quantized_ci_low"], metric["quantized_ci_high"])
    best = None if None in ends else max(sign * end for end in ends)
    if sign * now >= sign * before - spare:
        status, word = Status.PASS, "no worse than"
    elif best is not None and best < sign * before:
        status, word = Status.FAIL, "certainly worse than"
    else:
        status, word = Status.INCONCLUSIVE, "worse than, by what chance could do,"
    why = f"{now:.4g} is {word} the {before:.4g} of before ({metric['n']} samples)"
    return _check(name, before - sign * spare, now, status, why)


def _is_rate(metric: Document) -> bool:
    return (metric.get("low", 0), metric.get("high", 1)) == (0, 1)


def packed_right(accuracy: Mapping[str, MetricAccuracy]) -> dict[str, str]:
    """By metric that is a share of right answers of independent samples, whether the artefact was
    right on each: bits in order, the first the highest of its byte, in base64."""
    found = {}
    for name, metric in accuracy.items():
        if metric.pair is None or metric.pair.clusters is not None:
            continue
        right = right_answers(metric.pair)
        if right is not None:
            found[name] = base64.b64encode(np.packbits(right).tobytes()).decode("ascii")
    return found


def _rights(previous: Document, report: Document) -> dict[str, tuple[Array, Array]]:
    """What either was right on, by metric, where both scored the very same samples."""

    def skipped(document: Document) -> Any:
        return document["data"].get("labelled", {}).get("skipped")

    if skipped(previous) != skipped(report):
        return {}
    found = {}
    for name, metric in report["accuracy"].items():
        texts = [document.get("right", {}).get(name) for document in (previous, report)]
        if None not in texts and previous["accuracy"][name]["n"] == metric["n"]:
            before, now = (_unpacked(text, metric["n"], name) for text in texts)
            found[name] = before, now
    return found


def _unpacked(text: str, n: int, name: str) -> Array:
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise UsageError(
            f"the baseline is damaged: right.{name} is no base64: {error}",
            hint="Judge the last release again: edgekit gate LAST_RELEASE --recipe ...",
        ) from error
    if len(packed) != (n + 7) // 8:
        raise UsageError(
            f"the baseline is damaged: right.{name} has {len(packed)} bytes, not those of {n} bits",
            hint="Judge the last release again: edgekit gate LAST_RELEASE --recipe ...",
        )
    return np.unpackbits(packed)[:n].astype(bool)


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
