"""Latency of two models, interleaved in one run so that a busy machine disturbs both alike.

``summarize_pair`` is arithmetic over two arrays of times and knows no device; ``measure_pair``
takes the times on this host.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.errors import UsageError
from edgekit.numerics.intervals import (
    CONFIDENCE,
    Interval,
    bootstrap_ratio_of_medians,
    median_interval,
)
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.runtimes.turns import times_in_turns
from edgekit.types import Array, Feeds


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

    def at(self, confidence: float) -> HostLatency:
        """With the interval of the speed-up at another confidence."""
        if confidence == CONFIDENCE:
            return self
        found = summarize_pair(self.raw, confidence=confidence)
        return replace(self, ci_low=found.ci_low, ci_high=found.ci_high)

    def quantized_ms_interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Of ``quantized_ms``, by the rounds."""
        return median_interval(np.median(self.raw.quantized_ms, axis=1), confidence=confidence)


def summarize_pair(
    times: PairTimes, *, seed: int = 0, confidence: float = CONFIDENCE
) -> PairLatency:
    """Medians, speedup and its interval from the raw times of interleaved rounds.

    Raises:
        UsageError: fewer than two rounds, or arrays that are not both [rounds, runs].
    """
    shapes = times.float_ms.shape, times.quantized_ms.shape
    if any(len(shape) != 2 for shape in shapes) or shapes[0][0] != shapes[1][0]:
        raise UsageError(f"times must be [rounds, runs] of the same rounds, not {shapes}")
    float_medians = np.median(times.float_ms, axis=1)
    quantized_medians = np.median(times.quantized_ms, axis=1)
    interval = bootstrap_ratio_of_medians(
        float_medians, quantized_medians, seed=seed, confidence=confidence
    )
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
