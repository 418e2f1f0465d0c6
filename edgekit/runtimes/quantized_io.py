"""Affine quantization of whole tensors: ``real = scale * (stored - zero_point)``."""

from __future__ import annotations

import numpy as np

from edgekit.errors import DataError, UsageError
from edgekit.types import Array, QuantParams


def quantize(values: Array, params: QuantParams, dtype: str) -> Array:
    """Real values to the nearest stored integers of ``dtype``, ties to even, ends saturating.

    ``dtype`` is an integer type name; the shape is kept. Computed in the precision of ``values``,
    which for float32 is what the runtime's own QUANTIZE operator does.

    Raises:
        DataError: a value is NaN.
        UsageError: ``dtype`` is no integer type, or the scale is not positive.
    """
    if np.dtype(dtype).kind not in "iu":
        raise UsageError(f"cannot quantize to {dtype}: not an integer type")
    if not params.scale > 0:
        raise UsageError(f"cannot quantize with scale {params.scale}: it must be positive")
    if np.isnan(values).any():
        raise DataError("a NaN cannot be quantized")
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore"):  # an overflow to infinity saturates below, as it should
        steps = np.asarray(values / params.scale)
    np.rint(steps, out=steps)
    steps += params.zero_point
    np.clip(steps, limits.min, limits.max, out=steps)
    return steps.astype(dtype)


def dequantize(stored: Array, params: QuantParams) -> Array:
    """Stored integers to float32 real values, exactly as the runtime's DEQUANTIZE operator."""
    # Up to 16 bits every step is exact in float32; wider integers are not.
    exact = stored.astype("float32" if stored.dtype.itemsize <= 2 else "float64")
    exact -= params.zero_point
    exact *= params.scale
    return exact.astype(np.float32, copy=False)
