"""Read the text that TensorFlow Lite's benchmark_model prints, of old builds and new ones.

Every line may start with ``INFO: `` or, out of an app, ``I tflite  : ``, and end in CR. Its timing
line is tensorflow/core/util/stat_summarizer's: microseconds, ``count=1 curr=N`` after a single
run, in scientific notation where they are large; newer builds add ``p5 median p95``. What it says
of delegates is in tensorflow/lite/tools/benchmark/benchmark_tflite_model.cc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.measure.devices.device import Delegate, Delegation

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PREFIX = re.compile(r"^(?:(?:INFO|VERBOSE|WARNING|WARN|ERROR|[VDIWEF] tflite[^:]*) ?: )+")
_FIELD = re.compile(rf"(\w+)=({_NUMBER})(?=\s|$)")
_SUMMARY = re.compile(rf"(Init|First inference|Warmup \(avg\)|Inference \(avg\)): ({_NUMBER})")
_PEAK = re.compile(
    rf"^(?:Peak memory footprint \(MB\): .*|.*periodic monitoring: ({_NUMBER})\b.*)$"
)
_DELTA = re.compile(r"^Memory footprint delta from the start of the tool \(MB\): ")
_EXPLICIT = re.compile(
    r"Explicitly applied (\w+) delegate, and the model graph will be (completely|partially) "
    r"executed by the delegate(?: w/ (\d+) delegate kernels)?"
)
_OLD_APPLIED = re.compile(r"^Applied (\w+) delegate\.")
_NOT_APPLIED = re.compile(r"Though (\w+) delegate is explicitly applied, the model graph will not")
_REPLACED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, "
    r"yielding (\d+) partitions"
)
_XNNPACK_MADE = re.compile(r"Created TensorFlow Lite XNNPACK delegate")
_FAULT = re.compile(
    r"^(?:Failed to |Can't |Could not |Cannot |Error|Benchmarking failed|Disallowed |"
    r"Unknown |Unresolved |Encountered |Unsupported )|"
    r"(?:unsupported on this platform|NN API returned error|Didn't find op)",
    re.IGNORECASE,
)
_IN_NODE_NAMES = {"xnnpack": Delegate.XNNPACK, "gpu": Delegate.GPU, "nnapi": Delegate.NNAPI}
_NOT_FAILURES = "Benchmarking failed"  # true, but every other line says more


@dataclass(frozen=True)
class Timing:
    """One timing line. ``median_us`` and ``p95_us`` are ``None`` in older builds."""

    runs: int
    first_us: float
    min_us: float
    max_us: float
    mean_us: float
    std_us: float
    median_us: float | None = None
    p95_us: float | None = None


@dataclass(frozen=True)
class BenchmarkLog:
    """What one launch said. ``timing`` is ``None`` where it did not finish."""

    timing: Timing | None
    warm_up: Timing | None
    init_us: float | None
    first_us: float | None
    peak_memory_mb: float | None
    memory_delta_mb: float | None
    delegation: Delegation
    faults: tuple[str, ...]

    @property
    def fault(self) -> str | None:
        """The line that tells most of what went wrong."""
        telling = [line for line in self.faults if not line.startswith(_NOT_FAILURES)]
        return next(iter(telling or self.faults), None)


def parse_log(text: str, requested: Delegate) -> BenchmarkLog:
    """Read the output of one launch; lines that mean nothing to it are passed over."""
    lines = tuple(_lines(text))
    timings = [timing for line in lines if (timing := _timing(line)) is not None]
    summary = _summary(lines)
    done = "Inference (avg)" in summary
    last = timings[-1] if timings else None
    if done and last is None and summary["Inference (avg)"] > 0:
        mean = summary["Inference (avg)"]
        last = Timing(1, mean, mean, mean, mean, 0.0)
    return BenchmarkLog(
        timing=last if done else None,
        warm_up=timings[0] if len(timings) > 1 else None,
        init_us=summary.get("Init"),
        first_us=summary.get("First inference"),
        peak_memory_mb=_peak(lines),
        memory_delta_mb=_overall(line for line in lines if _DELTA.match(line)),
        delegation=read_delegation(lines, requested),
        faults=tuple(line for line in lines if _FAULT.search(line)),
    )


def read_delegation(lines: tuple[str, ...], requested: Delegate) -> Delegation:
    """Which delegate executes the graph. The runtime's own count of nodes is believed first."""
    said = tuple(line for line in lines if _speaks_of_delegates(line))
    replaced: dict[Delegate, tuple[int, int, int]] = {}
    complete: dict[Delegate, bool | None] = {}
    kernels: dict[Delegate, int] = {}
    refused: set[Delegate] = set()
    for line in said:
        if match := _REPLACED.search(line):
            if (named := _node_delegate(match[3])) is not None:
                nodes, of, partitions = int(match[1]), int(match[2]), int(match[4])
                # One line a subgraph: what they say together is said of the whole.
                before = replaced.get(named, (0, 0, 0))
                replaced[named] = (before[0] + nodes, before[1] + of, before[2] + partitions)
        elif match := _EXPLICIT.search(line):
            if (named := _delegate(match[1])) is not None:
                complete[named] = match[2] == "completely"
                if match[3] or complete[named]:
                    kernels[named] = int(match[3] or 1)
        elif match := _OLD_APPLIED.search(line):
            if (named := _delegate(match[1])) is not None:
                complete.setdefault(named, None)
        elif match := _NOT_APPLIED.search(line):
            refused.update(filter(None, [_delegate(match[1])]))
    took = [each for each in (requested, *complete, *replaced) if _took(each, complete, replaced)]
    took = [each for each in took if each not in refused]
    if took:
        effective = took[0]
        nodes_of = replaced.get(effective)
        whole = complete.get(effective)
        if whole is None and nodes_of is not None:
            whole = nodes_of[0] == nodes_of[1]
        return Delegation(
            effective=effective,
            complete=whole,
            nodes=None if nodes_of is None else nodes_of[0],
            graph_nodes=None if nodes_of is None else nodes_of[1],
            partitions=kernels.get(effective, None if nodes_of is None else nodes_of[2]),
            said=said,
        )
    if any(map(_XNNPACK_MADE.search, lines)):
        return Delegation(effective=Delegate.XNNPACK, said=said)
    if requested is Delegate.CPU or refused or said:
        return Delegation(effective=Delegate.CPU, said=said)
    return Delegation(said=said)


def _took(
    delegate: Delegate,
    complete: dict[Delegate, bool | None],
    replaced: dict[Delegate, tuple[int, int, int]],
) -> bool:
    return delegate in complete or replaced.get(delegate, (0, 0, 0))[0] > 0


def _speaks_of_delegates(line: str) -> bool:
    patterns = (_REPLACED, _EXPLICIT, _OLD_APPLIED, _NOT_APPLIED, _XNNPACK_MADE)
    return (
        any(pattern.search(line) for pattern in patterns)
        or ("Failed to apply" in line and "delegate" in line)
        or "Disallowed CPU fallback" in line
        or "unsupported on this platform" in line
    )


def _delegate(name: str) -> Delegate | None:
    return next((each for each in Delegate if each.value == name.lower()), None)


def _node_delegate(name: str) -> Delegate | None:
    """From the name of a delegate's node: ``TfLiteGpuDelegateV2``, ``TfLiteXNNPackDelegate``."""
    return next((each for part, each in _IN_NODE_NAMES.items() if part in name.lower()), None)


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\r", "\n").split("\n"):
        if bare := _PREFIX.sub("", line.strip()).strip():
            yield bare


def _timing(line: str) -> Timing | None:
    """A profile's own lines do not begin with ``count=``."""
    if not line.startswith("count="):
        return None
    found = {key: _finite(value) for key, value in _FIELD.findall(line)}
    values = {key: value for key, value in found.items() if value is not None and value >= 0}
    runs = values.get("count", 0)
    if runs < 1 or runs != int(runs):
        return None
    if runs == 1 and "curr" in values:
        only = values["curr"]
        return Timing(1, only, only, only, only, 0.0, only)
    if not {"min", "max", "avg"} <= values.keys() or values["avg"] <= 0:
        return None
    return Timing(
        runs=int(runs),
        first_us=values.get("first", values["max"]),
        min_us=values["min"],
        max_us=values["max"],
        mean_us=values["avg"],
        std_us=values.get("std", 0.0),
        median_us=values.get("median"),
        p95_us=values.get("p95"),
    )


def _summary(lines: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in lines:
        if line.startswith("Inference timings in us: "):
            for key, value in _SUMMARY.findall(line):
                if (number := _finite(value)) is not None:
                    found[key] = number
    return found


def _peak(lines: tuple[str, ...]) -> float | None:
    for line in lines:
        if match := _PEAK.match(line):
            if match[1] is not None:
                return _finite(match[1])
            return _overall([line])
    return None


def _overall(lines: Iterator[str] | list[str]) -> float | None:
    for line in lines:
        return _finite(dict(_FIELD.findall(line)).get("overall", ""))
    return None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
