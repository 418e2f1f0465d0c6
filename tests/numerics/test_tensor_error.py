"""Sums of errors: against NumPy's own arithmetic on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.numerics.tensor_error import ErrorSums, Grid, OwnSums
from edgekit.runtimes.quantized_io import dequantize, quantize
from edgekit.types import QuantParams

scales = st.floats(2**-20, 2**10, width=32)
zero_points = st.integers(-128, 127)


def grid(scale: float, zero_point: int) -> Grid:
    return Grid(scale, scale * (-128 - zero_point), scale * (127 - zero_point))


@given(scales, zero_points, st.integers(0, 2**32 - 1))
def test_the_grid_stores_what_the_runtime_stores(scale: float, zero: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 100 * scale, 200)
    params = QuantParams(scale, zero)
    stored = dequantize(quantize(values, params, "int8"), params)
    np.testing.assert_array_equal(grid(scale, zero).nearest(values), stored)


@given(scales, zero_points, st.integers(0, 2**32 - 1))
def test_what_is_not_outside_loses_half_a_step_at_most(scale: float, zero: int, seed: int) -> None:
    on = grid(scale, zero)
    values = np.random.default_rng(seed).uniform(2 * on.low, 2 * on.high + scale, 500)
    lost = np.abs(on.nearest(values) - values)
    outside = on.outside(values)
    assert (lost[~outside] <= scale * 0.5001).all()
    assert (lost[outside] > scale * 0.4999).all()


@given(st.integers(0, 2**32 - 1))
def test_sums_over_samples_are_those_of_all_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f = rng.normal(0.5, 1, (4, 1, 3, 3, 2)).astype(np.float32)
    q = (f + rng.normal(0.1, 0.2, f.shape)).astype(np.float32)
    on = Grid(0.01, -1.28, 1.27)
    sums = ErrorSums()
    for one, other in zip(f, q, strict=True):
        sums.add(one, other, on)
    e = q.astype(np.float64) - f
    assert sums.sqnr_db == pytest.approx(
        10 * np.log10((f.astype(np.float64) ** 2).sum() / (e**2).sum())
    )
    assert sums.mean == pytest.approx(e.mean())
    assert sums.rms == pytest.approx(np.sqrt((f.astype(np.float64) ** 2).mean()))
    assert sums.outside_share == pytest.approx(((f < -1.285) | (f > 1.275)).mean())
    by_channel = e.reshape(-1, 2)
    left = ((by_channel - by_channel.mean(axis=0)) ** 2).sum()
    assert sums.constant_share == pytest.approx(1 - left / (e**2).sum(), abs=1e-9)


def test_a_tensor_of_zeros_has_no_infinite_figures() -> None:
    sums, own = ErrorSums(), OwnSums()
    zeros = np.zeros((1, 4), np.float32)
    sums.add(zeros, zeros, None)
    own.add(zeros, zeros, None)
    assert (sums.mean, sums.rms, sums.constant_share, sums.outside_share) == (0, 0, 0, 0)
    assert own.shares() == (0, 0, 0)


@pytest.mark.parametrize(
    ("low", "high", "noise", "most"), [(-1, 1, 0, 1), (-3, 3, 0, 0), (-1, 1, 0.5, 2)]
)
def test_the_largest_share_is_the_cause(low: float, high: float, noise: float, most: int) -> None:
    """Uniform values within the range, thrice beyond it, and computed with an error."""
    rng = np.random.default_rng(0)
    on = Grid(2 / 255, -128 * 2 / 255, 127 * 2 / 255)
    exact = rng.uniform(low, high, 5000).astype(np.float32)
    stored = on.nearest(exact + rng.normal(0, noise, exact.shape))
    own = OwnSums()
    own.add(exact, stored, on)
    shares = own.shares()
    assert sum(shares) == pytest.approx(1)
    assert int(np.argmax(shares)) == most
    assert own.noise == pytest.approx(((stored.astype(np.float64) - exact) ** 2).sum())


def test_of_a_float_tensor_everything_is_computing() -> None:
    own = OwnSums()
    own.add(np.ones(3, np.float32), np.full(3, 1.5, np.float32), None)
    assert own.noise == pytest.approx(0.75)
    assert own.shares() == (0, 0, 1)
