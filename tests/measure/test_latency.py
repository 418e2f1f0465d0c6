"""Latency: the arithmetic on made-up times, the measuring on a recorded session and a real one."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from edgekit.errors import UsageError
from edgekit.measure.latency import PairTimes, measure_pair, summarize_pair
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.session import SessionInfo
from edgekit.runtimes.turns import WARM_UP_BATCH, WARM_UP_MAX_RUNS, warm_up
from edgekit.types import Array, Feeds
from tests import tflite_models as models


class RecordedSession:
    """Answers ``time_ms`` from a list of times, the last one forever; keeps a diary."""

    def __init__(
        self,
        name: str,
        times_ms: list[float],
        diary: list[Any],
        threads: int = 1,
        caveat: str | None = None,
    ):
        self.name, self.times_ms, self.diary = name, times_ms, diary
        self.info = SessionInfo(
            name, "1", threads, (), (), 1, reference_only=caveat is not None, caveat=caveat
        )
        self.runs = 0

    def run(self, feeds: Feeds) -> dict[str, Array]:
        raise NotImplementedError

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        self.diary.append((self.name, repeats, gc.isenabled()))
        taken = [self.times_ms[min(self.runs + i, len(self.times_ms) - 1)] for i in range(repeats)]
        self.runs += repeats
        return np.array(taken)

    def close(self) -> None:
        return None

    def __enter__(self) -> RecordedSession:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def test_summary_by_hand() -> None:
    float_ms = np.array([[8.0, 8.0, 9.0], [10.0, 10.0, 50.0], [9.0, 9.0, 9.0]])
    quantized_ms = np.array([[4.0, 4.0, 4.0], [5.0, 5.0, 5.0], [4.5, 4.5, 30.0]])
    found = summarize_pair(PairTimes(float_ms, quantized_ms))
    assert (found.float_ms, found.quantized_ms, found.speedup) == (9.0, 4.5, 2.0)
    assert found.float_p90_ms == pytest.approx(np.percentile(float_ms, 90))
    assert (found.ci_low, found.ci_high) == (2.0, 2.0)  # every round says exactly two


def test_summary_of_noisy_rounds_brackets_the_speedup() -> None:
    rng = np.random.default_rng(2)
    mood = rng.lognormal(0, 0.2, (20, 1))
    times = PairTimes(
        8 * mood * rng.lognormal(0, 0.1, (20, 5)), 4 * mood * rng.lognormal(0, 0.1, (20, 5))
    )
    found = summarize_pair(times, seed=1)
    assert found.ci_low < found.speedup < found.ci_high
    assert found.ci_low < 2 < found.ci_high
    assert found.ci_high - found.ci_low < 0.5
    assert found == summarize_pair(times, seed=1)


def test_rounds_are_interleaved_in_alternating_order_without_the_collector() -> None:
    diary: list[Any] = []
    slow = RecordedSession("float", [8.0], diary)
    fast = RecordedSession("int8", [4.0], diary)
    assert gc.isenabled()
    found = measure_pair(slow, fast, {}, {}, rounds=4, runs_per_round=5)
    assert gc.isenabled()
    rounds = [name for name, repeats, _ in diary if repeats == 5]
    assert rounds == ["float", "int8", "int8", "float", "float", "int8", "int8", "float"]
    assert not any(collecting for _, _, collecting in diary)
    assert (found.speedup, found.threads, found.rounds, found.runs_per_round) == (2.0, 1, 4, 5)
    assert found.raw.float_ms.shape == found.raw.quantized_ms.shape == (4, 5)
    assert (found.raw.float_ms == 8).all()


@pytest.mark.parametrize(
    ("float_says", "quantized_says", "expected"),
    [
        (None, None, None),
        ("slow", None, "the float model is slow"),
        (None, "wrong", "the quantized model is wrong"),
        ("slow", "slow", "both models are slow"),
        ("slow", "wrong", "the float model is slow; the quantized model is wrong"),
    ],
)
def test_the_engines_and_what_they_say_against_their_times(
    float_says: str | None, quantized_says: str | None, expected: str | None
) -> None:
    before = RecordedSession("before", [8.0], [], caveat=float_says)
    after = RecordedSession("after", [4.0], [], caveat=quantized_says)
    found = measure_pair(before, after, {}, {}, rounds=2, runs_per_round=1)
    assert (found.float_engine, found.quantized_engine) == ("before 1", "after 1")
    assert found.reference_only is (expected is not None)
    assert found.caveat == expected


def test_the_collector_comes_back_after_a_failure() -> None:
    class Failing(RecordedSession):
        def time_ms(self, feeds: Feeds, repeats: int) -> Array:
            raise UsageError("no")

    broken = Failing("x", [], [])
    with pytest.raises(UsageError, match="no"):
        measure_pair(broken, broken, {}, {}, rounds=2, runs_per_round=1)
    assert gc.isenabled()


def test_warm_up_runs_while_times_fall_and_is_not_measured() -> None:
    falling = [30.0 - i for i in range(21)]
    session = RecordedSession("x", [*falling, 10.0], [])
    runs = warm_up(session, {})
    assert 21 <= runs <= 21 + 3 * WARM_UP_BATCH
    steady = RecordedSession("x", [5.0], [])
    assert warm_up(steady, {}) == 3 * WARM_UP_BATCH
    cold = RecordedSession("x", [*falling, 10.0], [])
    found = measure_pair(cold, RecordedSession("y", [5.0], []), {}, {}, rounds=2, runs_per_round=2)
    assert found.float_ms == 10.0
    assert (found.float_warm_up_runs, found.quantized_warm_up_runs) == (runs, 3 * WARM_UP_BATCH)


def test_warm_up_is_bounded() -> None:
    endless = RecordedSession("x", [1000 * 0.9**i for i in range(500)], [])
    assert warm_up(endless, {}) == WARM_UP_MAX_RUNS


def test_unfair_or_empty_comparisons_are_refused() -> None:
    one, two = RecordedSession("a", [1.0], []), RecordedSession("b", [1.0], [], threads=2)
    with pytest.raises(UsageError, match="float model has 1 threads, the quantized 2"):
        measure_pair(one, two, {}, {}, rounds=2, runs_per_round=1)
    with pytest.raises(UsageError, match="two rounds"):
        measure_pair(one, one, {}, {}, rounds=1, runs_per_round=1)
    with pytest.raises(UsageError, match="same rounds"):
        summarize_pair(PairTimes(np.ones((3, 2)), np.ones((4, 2))))


def test_real_sessions_end_to_end() -> None:
    class Count:
        done = 0

        def advance(self, steps: int = 1) -> None:
            self.done += steps

    task = Count()
    with (
        LiteRTSession(models.float_model()) as slow,
        LiteRTSession(models.int8_model()) as fast,
    ):
        found = measure_pair(
            slow,
            fast,
            {"x": np.zeros(models.INPUT_SHAPE, np.float32)},
            {"x": np.zeros(models.INPUT_SHAPE, np.int8)},
            rounds=3,
            runs_per_round=2,
            task=task,
        )
    assert found.float_ms > 0
    assert found.quantized_ms > 0
    assert found.ci_low <= found.speedup <= found.ci_high
    assert task.done == 3
