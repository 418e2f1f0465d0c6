"""A ratio of two things timed in turns, with what the machine's noise leaves certain of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.numerics.intervals import bootstrap_ratio_of_medians


@dataclass(frozen=True)
class Ratio:
    """``value`` is the ratio of the medians, ``low`` and ``high`` its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RoundRatios:
    """``median``, ``low`` and ``high`` of the rounds' own ratios: few rounds allow no more."""

    median: float
    low: float
    high: float


def ratio_of_medians(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Both are times by round, two rounds at least; rounds are resampled as pairs."""
    top, bottom = np.array(numerators, np.float64), np.array(denominators, np.float64)
    interval = bootstrap_ratio_of_medians(top, bottom, seed=0)
    return Ratio(float(np.median(top) / np.median(bottom)), interval.low, interval.high)


def round_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> RoundRatios:
    """Of the ratios round by round, one round at least."""
    pairs = zip(numerators, denominators, strict=True)
    ratios = np.array([top / bottom for top, bottom in pairs], np.float64)
    return RoundRatios(float(np.median(ratios)), float(ratios.min()), float(ratios.max()))
