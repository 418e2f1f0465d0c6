"""Times of several sessions in turns, so that a busy machine disturbs all alike."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

import numpy as np

from edgekit.errors import UsageError
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.types import Array, Feeds

WARM_UP_BATCH = 3
WARM_UP_MAX_RUNS = 60
WARM_UP_LIMIT_S = 5.0
WARM_UP_GAIN = 0.98
"""A batch that is not at least this much faster than the best before counts as steady."""


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
        for number, order in enumerate(turns(count, rounds)):
            for side in order:
                session, feeds = sides[side]
                times[side, number] = session.time_ms(feeds, runs_per_round)
            if task is not None:
                task.advance()
    return times, warm_up_runs


def turns(sides: int, rounds: int) -> Iterator[tuple[int, ...]]:
    """The order of the sides in each round: every round begins with another one."""
    for number in range(rounds):
        yield tuple((number + turn) % sides for turn in range(sides))


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
