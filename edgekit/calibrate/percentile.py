"""All but a ten-thousandth of the values at either end: 99.99 is what NVIDIA's study of integer
inference found to serve most networks (Wu et al. 2020, arXiv:2004.09602)."""

from __future__ import annotations

import numpy as np

from edgekit.calibrate.statistics import Range, TensorStatistics

PERCENTILE = 99.99


def percentile(statistics: TensorStatistics) -> Range:
    """Values are taken to be spread evenly within a bin; no histogram gives the extremes."""
    histogram = statistics.counted
    if not histogram.counts.size:
        return statistics.exact
    below = np.cumsum(histogram.counts, dtype=np.float64)
    share = (1 - PERCENTILE / 100) * below[-1]

    def at(count: float) -> float:
        """Below which ``count`` values lie."""
        k = min(int(np.searchsorted(below, count)), below.size - 1)
        within = 1 - (below[k] - count) / histogram.counts[k]
        return float((histogram.bins[k] + within) * histogram.width)

    return Range(min=at(share), max=at(below[-1] - share))
