"""Counts of a tensor's values, made in one pass: bins merge exactly as more values come.

Every width is a power of two and every bin begins at a multiple of its width, so two neighbours
make exactly one bin of twice the width. Only bins that hold something are kept, and so many of
them at most: an outlier takes one bin, not the resolution of all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import frexp

import numpy as np

from edgekit.types import Array

BINS_MAX = 2048
_DENSE_MAX = 1 << 16
_FINEST = 40
"""Bits between the largest magnitude and the narrowest bin. Indices stay exact in a float64."""
_LEAST = -1000
"""The least exponent: its inverse is still finite."""


@dataclass(frozen=True)
class Histogram:
    """``counts[k]`` values in ``[bins[k], bins[k] + 1) * 2**exponent``.

    Both are int64 of shape ``(bins,)``, ``bins`` ascending. The same values always give the same
    histogram, in whatever order and parts they came: its width is the least that keeps to
    ``BINS_MAX`` bins.
    """

    exponent: int
    bins: Array
    counts: Array

    @property
    def width(self) -> float:
        return float(2.0**self.exponent)

    @property
    def centres(self) -> Array:
        """Of the bins; float64."""
        return (self.bins + 0.5) * self.width


EMPTY = Histogram(0, np.zeros(0, np.int64), np.zeros(0, np.int64))


def histogram_of(values: Array) -> Histogram:
    """Of float32 or float64 values of any shape. What is not finite is left out; the extremes tell
    of it."""
    flat = values.reshape(-1)
    finite = np.isfinite(flat)
    if not finite.all():
        flat = flat[finite]
    if not flat.size:
        return EMPTY
    low, high = float(flat.min()), float(flat.max())
    finest = _finest(low, high)
    # Counting into an array is far cheaper than sorting, and mostly fine enough to start from.
    exponent = finest
    while (high - low) * 2.0**-exponent > _DENSE_MAX:
        exponent += 1
    if exponent > finest:
        found = _dense(flat, exponent)
        if len(found.bins) > BINS_MAX:
            return _narrowed(found)
    bins, counts = np.unique(_indices(flat, finest), return_counts=True)
    return _narrowed(Histogram(finest, bins, counts))


def merged(parts: Iterable[Histogram]) -> Histogram:
    """The histogram of the values of all ``parts``."""
    held = [part for part in parts if part.bins.size]
    if not held:
        return EMPTY
    exponent = max(part.exponent for part in held)
    bins = np.concatenate([part.bins >> (exponent - part.exponent) for part in held])
    counts = np.concatenate([part.counts for part in held])
    order = np.argsort(bins, kind="stable")
    return _narrowed(Histogram(exponent, *_summed(bins[order], counts[order])))


def _finest(low: float, high: float) -> int:
    largest = max(abs(low), abs(high))
    return max(frexp(largest)[1] - _FINEST, _LEAST) if largest else _LEAST


def _indices(values: Array, exponent: int) -> Array:
    # The product is exact in a float32 too, and cheaper, unless it may leave its exponents.
    if not -100 <= exponent <= 0:
        values = values.astype(np.float64)
    indices: Array = np.floor(values * values.dtype.type(2.0**-exponent)).astype(np.int64)
    return indices


def _dense(values: Array, exponent: int) -> Histogram:
    indices = _indices(values, exponent)
    first = int(indices.min())
    counts = np.bincount(indices - first)
    taken = np.flatnonzero(counts)
    return Histogram(exponent, taken + first, counts[taken])


def _narrowed(histogram: Histogram) -> Histogram:
    """Neighbours merged until there are no more than ``BINS_MAX`` bins."""
    while len(histogram.bins) > BINS_MAX:
        bins, counts = _summed(histogram.bins >> 1, histogram.counts)
        histogram = Histogram(histogram.exponent + 1, bins, counts)
    return histogram


def _summed(bins: Array, counts: Array) -> tuple[Array, Array]:
    """Ascending ``bins`` once each, with the counts of all their occurrences."""
    starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
    return bins[starts], np.add.reduceat(counts, starts)


class HistogramBuilder:
    """Takes the values of a tensor as they come, and counts them by large lots: that is cheaper."""

    LOT = 1 << 17

    def __init__(self) -> None:
        self._waiting: list[Array] = []
        self._size = 0
        self._counted = EMPTY

    def add(self, values: Array) -> None:
        """Real values of any shape; they are not copied."""
        self._waiting.append(values.reshape(-1))
        self._size += values.size
        if self._size >= self.LOT:
            self._count()

    def histogram(self) -> Histogram:
        """Of all values so far."""
        self._count()
        return self._counted

    def _count(self) -> None:
        if self._waiting:
            lot = histogram_of(np.concatenate(self._waiting))
            self._counted = merged((self._counted, lot))
            self._waiting, self._size = [], 0
