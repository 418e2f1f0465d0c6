"""The design effect of samples that belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.numerics.clusters import design_effect, group_numbers, standard_error
from edgekit.numerics.resampling import mean_interval, paired_bootstrap


def test_copies_count_once() -> None:
    values = np.random.default_rng(0).integers(0, 2, 400).astype(np.float64)
    copies, groups = np.repeat(values, 5), np.repeat(np.arange(400), 5)
    assert design_effect(copies, groups) == pytest.approx(5, rel=0.01)
    plain, copied = mean_interval(values), mean_interval(copies, clusters=groups)
    assert (copied.low, copied.high) == pytest.approx((plain.low, plain.high), rel=1e-6)


def test_where_nothing_differs_each_photo_counts_once() -> None:
    assert design_effect(np.zeros(60), np.repeat(np.arange(12), 5)) == 5


def test_of_few_photos_each_counts_once_however_alike_they_seem() -> None:
    """Two that lose alike by chance would prove anything."""
    values = np.tile([1.0, 0.0, 0.0, 0.0], 25)
    few, more = np.repeat(np.arange(5), 20), np.repeat(np.arange(25), 4)
    assert design_effect(values, few) == 20
    assert 1.0 < design_effect(values, more) < 1.2
    assert design_effect(values, more, 0.99) > design_effect(values, more)


def test_single_samples_are_what_they_were() -> None:
    values = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    assert design_effect(values, np.arange(5)) == 1.0
    assert standard_error(values, np.arange(5)) == pytest.approx(values.std(ddof=1) / np.sqrt(5))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_it_is_never_below_one(pairs: list[tuple[bool, int]]) -> None:
    values = np.array([float(value) for value, _ in pairs])
    groups = group_numbers([f"photo {number}" for _, number in pairs])
    assert 1.0 <= design_effect(values, groups) <= len(pairs)


def test_a_bootstrap_draws_photos_as_wholes() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=40), 10)
    groups = np.repeat(np.arange(40), 10)

    def mean(weights: np.ndarray) -> float:
        return float(np.average(values, weights=weights))

    def nothing(weights: np.ndarray) -> float:
        return 0.0

    aware, _ = paired_bootstrap(mean, nothing, 400, clusters=groups)
    naive, _ = paired_bootstrap(mean, nothing, 400)
    assert aware.high - aware.low > 2 * (naive.high - naive.low)
