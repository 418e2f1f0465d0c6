"""Pictures that are too dark: reproducible, and still what a camera stores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.data.exposure import ExposureRule, darken, stops_below
from edgekit.types import Array

images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=4))
stops = st.floats(0, 8)


@given(pixels=images, by=stops)
def test_a_darkened_picture_is_one_of_8_bits_again(pixels: Array, by: float) -> None:
    before = pixels.copy()
    dark = darken(pixels, by)
    assert (dark.dtype, dark.shape) == (np.uint8, pixels.shape)
    assert (np.abs(dark - pixels / 2**by) <= 0.5 + 1e-9).all()
    assert np.array_equal(pixels, before)
    assert np.array_equal(darken(pixels, by), dark)


@given(pixels=images)
def test_no_stop_leaves_a_picture_as_it_is(pixels: Array) -> None:
    assert np.array_equal(darken(pixels, 0), pixels)


def test_darkening_keeps_the_order_of_brightness_and_leaves_the_levels_there_are() -> None:
    dark = darken(np.arange(256, dtype=np.uint8), 4)
    assert (np.diff(dark.astype(int)) >= 0).all()
    assert np.unique(dark).tolist() == list(range(17))


@given(sha256=st.text("0123456789abcdef", min_size=64, max_size=64), seed=st.integers(0, 9))
def test_stops_are_those_of_the_content_and_the_seed(sha256: str, seed: int) -> None:
    by = stops_below(ExposureRule(4.0, seed), sha256)
    assert 0 <= by <= 4
    assert stops_below(ExposureRule(4.0, seed), sha256) == by
    assert stops_below(ExposureRule(2.0, seed), sha256) == by / 2
    assert stops_below(ExposureRule(4.0, seed + 1), sha256) != by


def test_the_stops_of_a_content_are_what_they_were_in_every_version() -> None:
    assert stops_below(ExposureRule(1.0, 0), "0" * 64) == pytest.approx(0.7281186773215197)


def test_all_exposures_are_equally_likely() -> None:
    rule = ExposureRule(5.0, 0)
    found = [stops_below(rule, f"{number:064x}") for number in range(4000)]
    counts, _ = np.histogram(found, 5, (0, 5))
    assert counts.min() > 700
