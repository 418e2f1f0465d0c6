"""How far one quantized tensor is from its float twin, summed up sample by sample.

Sums are float64 and small; the tensors themselves are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from edgekit.numerics.fidelity import sqnr_db
from edgekit.types import Array


@dataclass(frozen=True)
class Grid:
    """The real values a tensor can store: ``low`` to ``high``, ``step`` apart; one value each, or
    one a channel along the last axis."""

    step: float | Array
    low: float | Array
    high: float | Array

    def over(self, factor: Array) -> Grid:
        """The same where every channel is stored times its ``factor``."""
        return Grid(self.step / factor, self.low / factor, self.high / factor)

    def outside(self, values: Array) -> Array:
        """bool, as ``values``: what loses more than rounding, being over half a step beyond."""
        half = self.step / 2
        return np.asarray((values < self.low - half) | (values > self.high + half))

    def nearest(self, values: Array) -> Array:
        """float32: ``values`` as they would be stored and read back, ties to even."""
        zero = np.rint(-self.low / self.step)
        steps = np.clip(np.rint(values / self.step) + zero, 0, np.rint(self.span / self.step))
        return np.asarray((steps - zero) * self.step, dtype=np.float32)

    @property
    def span(self) -> float | Array:
        return self.high - self.low


class ErrorSums:
    """Of ``quantized - float`` over all elements and samples."""

    def __init__(self) -> None:
        self.count = 0
        self.outside = 0
        self._signal = self._noise = self._sum = 0.0
        self._channels: Array | None = None

    def add(self, reference: Array, quantized: Array, grid: Grid | None) -> None:
        """float32 arrays of one shape, channels last; ``grid`` is that of ``quantized``."""
        with np.errstate(invalid="ignore"):  # infinite values are told by ``finite``
            error = np.subtract(quantized, reference, dtype=np.float64)
        self._signal += power(reference)
        self._noise += power(error)
        by_channel = error.reshape(-1, error.shape[-1] if error.ndim > 1 else 1).sum(axis=0)
        self._channels = by_channel if self._channels is None else self._channels + by_channel
        self._sum += float(by_channel.sum())
        self.count += error.size
        if grid is not None:
            self.outside += int(grid.outside(reference).sum())

    @property
    def finite(self) -> bool:
        return bool(np.isfinite([self._signal, self._noise]).all())

    @property
    def sqnr_db(self) -> float:
        return sqnr_db(self._signal, self._noise)

    @property
    def signal(self) -> float:
        return self._signal

    @property
    def mean(self) -> float:
        """The mean error."""
        return self._sum / self.count if self.count else 0.0

    def mean_steps(self, grid: Grid) -> float:
        """The mean error in steps."""
        if self._channels is None or not self.count:
            return 0.0
        return float((self._channels / grid.step).sum()) / self.count

    @property
    def rms(self) -> float:
        """Root mean square of the reference."""
        return sqrt(self._signal / self.count) if self.count else 0.0

    @property
    def constant_share(self) -> float:
        """The share of the noise that one constant a channel would take away."""
        if self._noise == 0.0 or self._channels is None:
            return 0.0
        each = self.count / self._channels.size
        return min(float(self._channels @ self._channels) / each / self._noise, 1.0)

    @property
    def outside_share(self) -> float:
        return self.outside / self.count if self.count else 0.0


class OwnSums:
    """Noise that arises in one operator: ``exact`` is what it gives in float for the very inputs
    that the quantized operator had, ``stored`` what that one gave."""

    def __init__(self) -> None:
        self.noise = self._clipping = self._rounding = 0.0

    def add(self, exact: Array, stored: Array, grid: Grid | None) -> None:
        """float32 arrays of one shape. Without a ``grid``, of a float tensor, nothing is lost by
        storing."""
        wide = exact.astype(np.float64)
        self.noise += power(stored - wide)
        if grid is None:
            return
        lost = grid.nearest(wide) - wide
        clipped = power(lost[grid.outside(wide)])
        self._clipping += clipped
        self._rounding += max(power(lost) - clipped, 0.0)

    def shares(self) -> tuple[float, float, float]:
        """Of clipping, rounding and computing; their sum is 1, or 0 where there is no noise.

        Computing is what the others leave: an error before rounding adds its own power to that of
        rounding, while the difference of two rounded values would count whole steps.
        """
        computing = max(self.noise - self._clipping - self._rounding, 0.0)
        parts = (self._clipping, self._rounding, computing)
        total = sum(parts)
        clipping, rounding, computing = (part / total if total else 0.0 for part in parts)
        return clipping, rounding, computing


def power(values: Array) -> float:
    """The sum of squares."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    # BLAS would share this out among threads, and take longer.
    return float(np.einsum("i,i->", flat, flat))
