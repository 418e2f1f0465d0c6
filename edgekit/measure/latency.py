"""Latency of two models, interleaved in one run so that a busy machine disturbs both alike.

``summarize_pair`` is arithmetic over two arrays of times and knows no device; ``measure_pair``
takes the times on this host.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from edgekit.errors import UsageError
from edgekit.numerics.intervals import bootstrap_ratio_of_medians
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.types import Array, Feeds

WARM_UP_BATCH = 3
WARM_UP_MAX_RUNS = 60
WARM_UP_LIMIT_S = 5.0
WARM_UP_GAIN = 0.98
"""A batch that is not at least this much faster than the best before counts as steady."""


@dataclass(frozen=True)
class PairTimes:
    """Milliseconds of every timed invocation, float64 [rounds, runs per round] each."""

    float_ms: Array
    quantized_ms: Array


@dataclass(frozen=True)
class PairLatency:
    """Two models compared.

    ``*_ms`` are medians of the rounds' medians, ``*_p90_ms`` the 90th percentile of all runs;
    ``speedup`` is ``float_ms / quantized_ms`` and ``ci_*`` its 95 % interval, resampling rounds.
    """

    float_ms: float
    quantized_ms: float
    float_p90_ms: float
    quantized_p90_ms: float
    speedup: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class HostLatency(PairLatency):
    """Measured on this host: how, and the raw times for whoever wants to plot them.

    ``*_engine`` is the runtime and its version; ``reference_only`` says that one of them is made to
    be right, not fast; ``caveat`` is why these times speak for no product, if they do not.
    """

    float_engine: str
    quantized_engine: str
    reference_only: bool
    caveat: str | None
    threads: int
    rounds: int
    runs_per_round: int
    float_warm_up_runs: int
    quantized_warm_up_runs: int
    raw: PairTimes = field(repr=False, compare=False)


def summarize_pair(times: PairTimes, *, seed: int = 0) -> PairLatency:
    """Medians, speedup and its interval from the raw times of interleaved rounds.

    Raises:
        UsageError: fewer than two rounds, or arrays that are not both [rounds, runs].
    """
    shapes = times.float_ms.shape, times.quantized_ms.shape
    if any(len(shape) != 2 for shape in shapes) or shapes[0][0] != shapes[1][0]:
        raise UsageError(f"times must be [rounds, runs] of the same rounds, not {shapes}")
    float_medians = np.median(times.float_ms, axis=1)
    quantized_medians = np.median(times.quantized_ms, axis=1)
    interval = bootstrap_ratio_of_medians(float_medians, quantized_medians, seed=seed)
    float_ms, quantized_ms = float(np.median(float_medians)), float(np.median(quantized_medians))
    return PairLatency(
        float_ms=float_ms,
        quantized_ms=quantized_ms,
        float_p90_ms=float(np.percentile(times.float_ms, 90)),
        quantized_p90_ms=float(np.percentile(times.quantized_ms, 90)),
        speedup=float_ms / quantized_ms,
        ci_low=interval.low,
        ci_high=interval.high,
    )


def measure_pair(
    float_session: Session,
    quantized_session: Session,
    float_feeds: Feeds,
    quantized_feeds: Feeds,
    *,
    rounds: int,
    runs_per_round: int,
    seed: int = 0,
    task: Task | None = None,
) -> HostLatency:
    """Time both models in turns: warm up each, then ``rounds`` rounds of ``runs_per_round``.

    Even rounds begin with the float model, odd ones with the quantized; see ``times_in_turns``.

    Raises:
        UsageError: fewer than two rounds or one run, or sessions with different thread counts.
        SessionError: a model failed.
    """
    threads = float_session.info.threads
    if quantized_session.info.threads != threads:
        raise UsageError(
            f"the float model has {threads} threads, "
            f"the quantized {quantized_session.info.threads}: no fair comparison"
        )
    times, warm_up_runs = times_in_turns(
        ((float_session, float_feeds), (quantized_session, quantized_feeds)),
        rounds=rounds,
        runs_per_round=runs_per_round,
        task=task,
    )
    sessions = (float_session, quantized_session)
    raw = PairTimes(times[0], times[1])
    summary = summarize_pair(raw, seed=seed)
    return HostLatency(
        **vars(summary),
        float_engine=engine(float_session),
        quantized_engine=engine(quantized_session),
        reference_only=any(session.info.reference_only for session in sessions),
        caveat=_caveat(float_session, quantized_session),
        threads=threads,
        rounds=rounds,
        runs_per_round=runs_per_round,
        float_warm_up_runs=warm_up_runs[0],
        quantized_warm_up_runs=warm_up_runs[1],
        raw=raw,
    )


def times_in_turns(
    sides: Sequence[tuple[Session, Feeds]],
    *,
    rounds: int,
    runs_per_round: int,
    task: Task | None = None,
) -> tuple[Array, tuple[int, ...]]:
    """Milliseconds of every timed run, float64 [sides, rounds, runs per round], and how many runs
    warmed each side up.

    Each round begins with another side. The garbage collector is off meanwhile. ``task`` advances
    once a round.

    Raises:
        UsageError: fewer than two rounds or one run.
        SessionError: a model failed.
    """
    if rounds < 2 or runs_per_round < 1:
        raise UsageError(
            f"latency needs two rounds of one run at least, not {rounds} of {runs_per_round}"
        )
    count = len(sides)
    times = np.empty((count, rounds, runs_per_round))
    with _collector_off():
        warm_up_runs = tuple(warm_up(session, feeds) for session, feeds in sides)
        for number in range(rounds):
            for turn in range(count):
                side = (number + turn) % count
                session, feeds = sides[side]
                times[side, number] = session.time_ms(feeds, runs_per_round)
            if task is not None:
                task.advance()
    return times, warm_up_runs


def _caveat(float_session: Session, quantized_session: Session) -> str | None:
    """What the sessions say against their own times, as a sentence."""
    float_says, quantized_says = float_session.info.caveat, quantized_session.info.caveat
    if float_says is not None and float_says == quantized_says:
        return f"both models are {float_says}"
    says = {"float": float_says, "quantized": quantized_says}
    return "; ".join(f"the {side} model is {text}" for side, text in says.items() if text) or None


def engine(session: Session) -> str:
    """Runtime and version, for people: ``litert 2.3.0``."""
    return f"{session.info.runtime} {session.info.version}"


def warm_up(session: Session, feeds: Feeds) -> int:
    """Run until the median of a small batch falls no further, twice in a row; returns the runs.

    Bounded by runs and by seconds: a slow model is warm after a few runs, a noisy machine never
    looks steady.
    """
    best_ms, steady, runs, end = np.inf, 0, 0, monotonic() + WARM_UP_LIMIT_S
    while steady < 2 and runs < WARM_UP_MAX_RUNS and (runs == 0 or monotonic() < end):
        median_ms = float(np.median(session.time_ms(feeds, WARM_UP_BATCH)))
        runs += WARM_UP_BATCH
        steady = 0 if median_ms < best_ms * WARM_UP_GAIN else steady + 1
        best_ms = min(best_ms, median_ms)
    return runs


@contextmanager
def _collector_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
