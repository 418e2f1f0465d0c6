"""Properties of quantize and dequantize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError, UsageError
from edgekit.runtimes.quantized_io import dequantize, quantize
from edgekit.types import Array, QuantParams

DTYPES = st.sampled_from(["int8", "uint8", "int16"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[QuantParams, str]:
    dtype = draw(DTYPES)
    limits = np.iinfo(dtype)
    scale = float(np.float32(draw(st.floats(1e-6, 1e3))))
    return QuantParams(scale, draw(st.integers(int(limits.min), int(limits.max)))), dtype


@given(cases(), hnp.arrays(np.float32, (20,), elements=st.floats(0, 1, width=32)))
def test_values_in_range_come_back_within_half_a_step(
    case: tuple[QuantParams, str], places: Array
) -> None:
    params, dtype = case
    limits = np.iinfo(dtype)
    low = params.scale * (limits.min - params.zero_point)
    high = params.scale * (limits.max - params.zero_point)
    x = (low + places * (high - low)).astype(np.float32)
    back = dequantize(quantize(x, params, dtype), params)
    # float32 places a value of up to 2**16 steps only this finely
    slack = 4 * np.finfo(np.float32).eps * max(abs(low), abs(high))
    assert np.abs(back.astype(float) - x).max() <= params.scale / 2 + slack


@given(cases(), st.floats(1e-3, 1e30))
def test_values_outside_saturate(case: tuple[QuantParams, str], distance: float) -> None:
    params, dtype = case
    limits = np.iinfo(dtype)
    # further out than the whole range is wide: outside wherever zero lies in it
    span = params.scale * (int(limits.max) - int(limits.min)) * 1.001 + distance
    x = np.array([-span, span, -np.inf, np.inf], np.float32)
    expected = [limits.min, limits.max, limits.min, limits.max]
    assert quantize(x, params, dtype).tolist() == expected


@given(cases())
def test_every_stored_value_survives_the_round_trip(case: tuple[QuantParams, str]) -> None:
    params, dtype = case
    limits = np.iinfo(dtype)
    stored = np.arange(limits.min, limits.max + 1, dtype=np.int64).astype(dtype)
    real = dequantize(stored, params)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(quantize(real, params, dtype), stored)


def test_ties_go_to_even() -> None:
    ties = np.array([-1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert quantize(ties, QuantParams(1.0, 0), "int8").tolist() == [-2, 0, 0, 2, 2]


def test_shape_is_kept_down_to_a_scalar() -> None:
    assert quantize(np.zeros((2, 0, 3), np.float32), QuantParams(0.5, 3), "int8").shape == (2, 0, 3)
    scalar = quantize(np.array(2.0, np.float32), QuantParams(0.5, 3), "uint8")
    assert (scalar.shape, scalar.dtype, int(scalar)) == ((), np.uint8, 7)


def test_wide_integers_are_dequantized_exactly() -> None:
    stored = np.array([2**24 + 1, 2**24 + 3], np.int32)
    assert dequantize(stored, QuantParams(1.0, 2**24)).tolist() == [1.0, 3.0]


def test_nan_and_impossible_requests_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        quantize(np.array([0.0, np.nan]), QuantParams(1.0, 0), "int8")
    with pytest.raises(UsageError, match="not an integer type"):
        quantize(np.zeros(1), QuantParams(1.0, 0), "float32")
    with pytest.raises(UsageError, match="scale 0"):
        quantize(np.zeros(1), QuantParams(0.0, 0), "int8")
