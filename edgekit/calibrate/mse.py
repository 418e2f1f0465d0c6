"""The range whose quantization leaves the least squared error on the values that were counted.

A narrow range clips the tails, a wide one has coarse steps; between them the sum of both errors is
least (Sung et al. 2015, arXiv:1511.06488, and many since). The error of either is computed from
the histogram by quantizing the middle of every bin to 8 bits, as an asymmetric quantizer does it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.calibrate.histogram import Histogram
from edgekit.calibrate.statistics import Range, TensorStatistics
from edgekit.types import Array

_LEVELS = 255
_ROUNDS_MAX = 4
# An end is looked for down to a millionth of where it was, by steps of a third of an octave, then
# between the neighbours of the best of them.
_COARSE = 0.5 ** (np.arange(61) / 3)
_FINE = 0.5 ** (np.arange(-8, 9) / 24)


def mse(statistics: TensorStatistics) -> Range:
    """Starts at the exact extremes and moves an end only where that lessens the error; no
    histogram leaves them."""
    histogram, exact = statistics.counted, statistics.exact
    bottom, top = min(exact.min, 0.0), max(exact.max, 0.0)
    if not histogram.counts.size or bottom == top:
        return exact
    error = squared_error(histogram, exact)

    def best(lows: Array, highs: Array) -> tuple[float, float, float]:
        """The least error and its ends; of equals the first."""
        lows, highs = np.broadcast_arrays(lows, highs)
        errors = error(lows, highs)
        k = int(errors.argmin())
        return float(errors[k]), float(lows[k]), float(highs[k])

    found = min(best(np.array([bottom]), np.array([top])), best(bottom * _COARSE, top * _COARSE))
    for _ in range(_ROUNDS_MAX):
        before = found[0]
        for steps in (_COARSE, _FINE):
            _, low, high = found
            found = min(found, best(np.array([low]), np.minimum(high * steps, top)))
            _, low, high = found
            found = min(found, best(np.maximum(low * steps, bottom), np.array([high])))
        if found[0] == before:
            break
    return Range(min=found[1], max=found[2])


def squared_error(histogram: Histogram, exact: Range) -> Callable[[Array, Array], Array]:
    """A function from ``lows`` and ``highs``, both float64 of shape ``(candidates,)`` with zero
    between them, to the sum of the squared errors of each, of the same shape."""
    values = np.clip(histogram.centres, exact.min, exact.max)
    counts = histogram.counts.astype(np.float64)

    def error(lows: Array, highs: Array) -> Array:
        scales = np.maximum(highs - lows, np.finfo(np.float64).tiny * 2**24)[:, None] / _LEVELS
        zeros = np.round(-lows[:, None] / scales)
        steps = np.clip(np.round(values / scales), -zeros, _LEVELS - zeros)
        return np.asarray(((steps * scales - values) ** 2) @ counts)

    return error
