"""What every estimator promises, and what each of them is known to give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.calibrate import ESTIMATORS, estimate
from edgekit.calibrate.histogram import EMPTY, histogram_of
from edgekit.calibrate.mse import squared_error
from edgekit.calibrate.statistics import Range, TensorStatistics
from edgekit.types import Array

NEED_HISTOGRAM = [name for name, row in ESTIMATORS.items() if row.histogram]
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def statistics_of(samples: Sequence[Array]) -> TensorStatistics:
    return TensorStatistics(
        min=np.array([sample.min() for sample in samples], np.float32),
        max=np.array([sample.max() for sample in samples], np.float32),
        histogram=histogram_of(np.concatenate(samples)),
    )


def ranged(tensor: TensorStatistics, estimator: str) -> Range:
    return estimate({"t": tensor}, estimator)["t"]


@st.composite
def tensors(draw: st.DrawFn) -> list[Array]:
    """Samples of one tensor: what hypothesis thinks of, or many values with tails and offsets."""
    if draw(st.booleans()):
        shapes = st.integers(1, 12)
        return draw(st.lists(hnp.arrays(np.float32, shapes, elements=FLOATS), min_size=1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-8, 8))
    shift = draw(st.sampled_from([0.0, 0.0, -10.0, 10.0]))
    samples = [rng.laplace(shift, 1, 700) * scale for _ in range(draw(st.integers(1, 8)))]
    if draw(st.booleans()):
        samples[0][0] = draw(st.sampled_from([1e6, -1e6])) * scale
    bottom = draw(st.sampled_from([-np.inf, 0.0]))
    return [np.maximum(sample, bottom).astype(np.float32) for sample in samples]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(tensors())
def test_a_range_holds_zero_and_nothing_else_that_was_not_seen(
    estimator: str, samples: list[Array]
) -> None:
    found = ranged(statistics_of(samples), estimator)
    assert math.isfinite(found.min)
    assert math.isfinite(found.max)
    assert found.min <= 0 <= found.max
    values = np.concatenate(samples)
    assert min(float(values.min()), 0) <= found.min
    assert found.max <= max(float(values.max()), 0)


@pytest.mark.parametrize("estimator", sorted(set(ESTIMATORS) - {"moving_average"}))
@given(tensors(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_changes_nothing(
    estimator: str, samples: list[Array], random: object
) -> None:
    first = ranged(statistics_of(samples), estimator)
    random.shuffle(samples)  # type: ignore[attr-defined]
    again = ranged(statistics_of(samples), estimator)
    # A mean sums in another order; nothing more.
    scale = max(float(np.abs(sample).max()) for sample in samples) or 1.0
    assert again.min == pytest.approx(first.min, abs=1e-12 * scale)
    assert again.max == pytest.approx(first.max, abs=1e-12 * scale)


@given(tensors())
def test_mse_is_never_worse_than_the_exact_extremes(samples: list[Array]) -> None:
    tensor = statistics_of(samples)
    error = squared_error(tensor.counted, tensor.exact)
    found, all_of_it = ranged(tensor, "mse"), ranged(tensor, "minmax")
    ours, theirs = error(np.array([found.min, all_of_it.min]), np.array([found.max, all_of_it.max]))
    assert ours <= theirs


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-38])
def test_a_constant_keeps_its_value(estimator: str, value: float) -> None:
    found = ranged(statistics_of([np.full(5, value, np.float32)] * 2), estimator)
    kept = float(np.float32(value))
    assert (found.min, found.max) == pytest.approx((min(kept, 0), max(kept, 0)), rel=1e-6)


@pytest.mark.parametrize("estimator", NEED_HISTOGRAM)
def test_without_counted_values_the_extremes_are_left(estimator: str) -> None:
    tensor = TensorStatistics(np.float32([-1, -2]), np.float32([5, 4]), EMPTY)
    assert ranged(tensor, estimator) == Range(-2, 5)


def test_the_moving_average_follows_the_later_samples() -> None:
    rows = np.float32([10] + [1] * 99)
    found = ranged(TensorStatistics(-rows, rows), "moving_average")
    assert 1 < found.max < 1.06  # 0.95 ** 99 of what the first was above the others
    assert found.min == -found.max
    risen = ranged(TensorStatistics(-rows[::-1], rows[::-1]), "moving_average")
    assert risen.max == pytest.approx(1 + 9 * 0.05)


def test_the_percentile_is_that_of_the_values() -> None:
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    found = ranged(statistics_of([values]), "percentile")
    width = histogram_of(values).width
    assert found.min == pytest.approx(np.percentile(values, 0.01), abs=width)
    assert found.max == pytest.approx(np.percentile(values, 99.99), abs=width)


@pytest.mark.parametrize(
    ("draw", "clip"), [("normal", 3.92), ("laplace", 9.89)], ids=["gaussian", "laplace"]
)
def test_mse_finds_the_known_optimum_of_a_distribution(draw: str, clip: float) -> None:
    """The clips of Banner et al. 2019 (arXiv:1810.05723, ACIQ) for 8 bits: 3.92 sigma, 9.89 b."""
    values = getattr(np.random.default_rng(0), draw)(size=500_000).astype(np.float32)
    found = ranged(statistics_of([values]), "mse")
    assert (found.max - found.min) / 2 == pytest.approx(clip, rel=0.07)


def test_entropy_clips_a_sparse_tail_and_leaves_an_even_spread_alone() -> None:
    rng = np.random.default_rng(0)
    even = rng.uniform(-1, 1, 200_000).astype(np.float32)
    assert ranged(statistics_of([even]), "entropy").max > 0.98
    peaked = np.append(rng.normal(size=200_000), np.linspace(5, 40, 60)).astype(np.float32)
    assert 3 < ranged(statistics_of([peaked]), "entropy").max < 6


@pytest.mark.parametrize("estimator", ["percentile", "entropy", "mean_minmax"])
def test_one_outlier_does_not_take_the_range(estimator: str) -> None:
    samples = [np.random.default_rng(n).normal(size=2000).astype(np.float32) for n in range(100)]
    samples[0][0] = 40
    assert ranged(statistics_of(samples), estimator).max < 6
    assert ranged(statistics_of(samples), "minmax").max == 40
