"""Histograms that grow: the same whatever the order and the parts, and exact at every width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.calibrate.histogram import (
    BINS_MAX,
    EMPTY,
    Histogram,
    HistogramBuilder,
    histogram_of,
    merged,
)
from edgekit.types import Array

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = hnp.arrays(np.float32, st.integers(0, 40), elements=FLOATS)


@st.composite
def lots(draw: st.DrawFn) -> list[Array]:
    """Enough values for bins to merge, at scales that differ, some of them given many times."""
    found = draw(st.lists(VALUES, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 4))):
        scale, shift = 10.0 ** draw(st.integers(-9, 9)), draw(st.integers(-3, 3))
        size = draw(st.sampled_from([1, 100, 5000]))
        found.append((rng.normal(shift, 1, size) * scale).astype(np.float32))
    return found


def same(one: Histogram, other: Histogram) -> bool:
    return (
        one.exponent == other.exponent
        and np.array_equal(one.bins, other.bins)
        and np.array_equal(one.counts, other.counts)
    )


@given(lots(), st.randoms(use_true_random=False))
def test_parts_and_their_order_change_nothing(parts: list[Array], random: object) -> None:
    whole = histogram_of(np.concatenate(parts))
    assert same(merged(map(histogram_of, parts)), whole)
    random.shuffle(parts)  # type: ignore[attr-defined]
    builder, grown = HistogramBuilder(), EMPTY
    for part in parts:
        builder.add(part)
        grown = merged((grown, histogram_of(part)))
    assert same(grown, whole)
    assert same(builder.histogram(), whole)


@given(lots())
def test_every_value_is_counted_in_the_bin_that_holds_it(parts: list[Array]) -> None:
    values = np.concatenate(parts).astype(np.float64)
    histogram = histogram_of(values)
    assert len(histogram.bins) <= BINS_MAX
    assert histogram.counts.sum() == values.size
    assert (histogram.counts > 0).all()
    assert (np.diff(histogram.bins) > 0).all()
    for low, count in list(zip(histogram.bins * histogram.width, histogram.counts, strict=True))[
        :: max(1, len(histogram.bins) // 20)
    ]:
        assert ((values >= low) & (values < low + histogram.width)).sum() == count


def test_an_outlier_takes_one_bin_and_not_the_resolution_of_the_rest() -> None:
    values = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    plain = histogram_of(values)
    with_outlier = histogram_of(np.append(values, np.float32(1e6)))
    assert with_outlier.width <= 2 * plain.width
    assert with_outlier.bins[-1] == 1e6 // with_outlier.width


def test_a_builder_counts_by_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HistogramBuilder, "LOT", 10)
    builder = HistogramBuilder()
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    for row in values:
        builder.add(row)
    assert same(builder.histogram(), histogram_of(values))
    builder.add(np.float32([-1]))
    assert builder.histogram().counts.sum() == 36


def test_nothing_and_what_is_not_finite_count_nothing() -> None:
    assert same(histogram_of(np.zeros(0, np.float32)), EMPTY)
    assert same(histogram_of(np.float32([np.nan, np.inf, -np.inf])), EMPTY)
    assert same(histogram_of(np.float32([np.inf, -np.inf])), EMPTY)
    assert histogram_of(np.float32([np.nan, 2.0])).counts.tolist() == [1]
    assert same(merged([]), EMPTY)
