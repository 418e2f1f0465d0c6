"""From the rounds of one measurement to its figures, and whether they can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgekit.measure.devices.benchmark_log import BenchmarkLog
from edgekit.measure.devices.device import Delegation, ModelTimes
from edgekit.measure.latency import PairLatency, PairTimes, summarize_pair
from edgekit.types import Array

SPREAD_MAX = 0.10
"""Rounds whose medians lie further apart, quartile to quartile, are called noisy."""


def times_of_runs(runs_ms: Array, warm_up_runs: int, delegation: Delegation) -> ModelTimes:
    """Figures from every single run, float64 [rounds, runs per round]."""
    rounds_ms = np.median(runs_ms, axis=1)
    return ModelTimes(
        **_of_rounds(rounds_ms),
        p90_ms=float(np.percentile(runs_ms, 90)),
        p90_of="runs",
        statistic="median",
        min_ms=float(runs_ms.min()),
        max_ms=float(runs_ms.max()),
        runs=int(runs_ms.size),
        warm_up_runs=warm_up_runs,
        rounds_ms=tuple(map(float, rounds_ms)),
        delegation=delegation,
    )


def times_of_logs(logs: Sequence[BenchmarkLog]) -> ModelTimes:
    """Figures from one log a round, each of a finished launch. The delegation is that of the last,
    as all were asked alike."""
    timings = [log.timing for log in logs if log.timing is not None]
    medians_us = [timing.median_us for timing in timings if timing.median_us is not None]
    statistic: Literal["median", "mean"] = "median" if len(medians_us) == len(timings) else "mean"
    rounds_us = medians_us if statistic == "median" else [timing.mean_us for timing in timings]
    rounds_ms = np.array(rounds_us) / 1e3
    return ModelTimes(
        **_of_rounds(rounds_ms),
        p90_ms=float(np.percentile(rounds_ms, 90)),
        p90_of="rounds",
        statistic=statistic,
        min_ms=min(timing.min_us for timing in timings) / 1e3,
        max_ms=max(timing.max_us for timing in timings) / 1e3,
        runs=sum(timing.runs for timing in timings),
        warm_up_runs=sum(log.warm_up.runs for log in logs if log.warm_up is not None),
        rounds_ms=tuple(map(float, rounds_ms)),
        delegation=logs[-1].delegation,
        init_ms=_median_ms([log.init_us for log in logs]),
        first_ms=_median_ms([log.first_us for log in logs]),
        peak_memory_mb=_largest([log.peak_memory_mb for log in logs]),
        memory_delta_mb=_largest([log.memory_delta_mb for log in logs]),
    )


def compare_pair(reference: ModelTimes, quantized: ModelTimes) -> PairLatency:
    """Speed-up and its interval, resampling the rounds."""
    before, after = (np.array(each.rounds_ms)[:, np.newaxis] for each in (reference, quantized))
    return summarize_pair(PairTimes(before, after))


def noise(times: Mapping[str, ModelTimes]) -> str | None:
    """Which models' rounds lie too far apart, by name; ``None`` where none do."""
    noisy = [
        f"the {side} model's rounds lie {each.spread:.0%} apart"
        for side, each in times.items()
        if each.spread > SPREAD_MAX
    ]
    return f"{'; '.join(noisy)} (at most {SPREAD_MAX:.0%} can be believed)" if noisy else None


def _of_rounds(rounds_ms: Array) -> dict[str, float]:
    median_ms = float(np.median(rounds_ms))
    low, high = np.percentile(rounds_ms, (25, 75))
    return {"median_ms": median_ms, "spread": float((high - low) / median_ms)}


def _median_ms(values_us: Sequence[float | None]) -> float | None:
    known = [value for value in values_us if value is not None]
    return float(np.median(known)) / 1e3 if known else None


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
