"""The threshold that keeps the most of a tensor's distribution, by Kullback-Leibler divergence, as
TensorRT chooses it (S. Migacz, "8-bit Inference with TensorRT", GTC 2017).

For every threshold the distribution of magnitudes up to it, with all that lies beyond put on its
last bin, is compared with what is left of it once its bins have been pooled into as many as INT8
has levels. The method knows symmetric ranges only. Here a tensor of both signs is clipped at the
threshold on either side and has 128 levels a side; one of a single sign, as behind a ReLU, has all
256 for it, since ranges are asymmetric.
"""

from __future__ import annotations

import numpy as np

from edgekit.calibrate.histogram import Histogram
from edgekit.calibrate.statistics import Range, TensorStatistics
from edgekit.types import Array

_MAGNITUDES_MAX = 2048
_STRIDE = 8
# What the pooled distribution cannot express has this probability in it, instead of none, which
# would rule a threshold out for one value beyond it.
_UNSEEN = 1e-6


def entropy(statistics: TensorStatistics) -> Range:
    """No histogram, or one of fewer bins than levels, leaves the exact extremes."""
    exact = statistics.exact
    counts, width = _magnitudes(statistics.counted)
    levels = 128 if exact.min < 0 < exact.max else 256
    if counts.size <= levels:
        return exact
    # Zeros are exact in every range, and may be most of a tensor: they have no say.
    counts[0] = counts[1]
    kept = range(counts.size, levels - 1, -_STRIDE)  # of equals the first, which clips least
    best = min(kept, key=lambda count: _divergence(counts, count, levels))
    if best == counts.size:
        return exact
    return Range(min=max(exact.min, -best * width), max=min(exact.max, best * width))


def _magnitudes(histogram: Histogram) -> tuple[Array, float]:
    """Counts of absolute values, float64 from zero on, and the width of their bins."""
    if not histogram.bins.size:
        return np.zeros(0), histogram.width
    # [-1, 0) and [0, 1) widths away from zero are one bin of magnitudes; so are all such pairs.
    bins = np.where(histogram.bins < 0, ~histogram.bins, histogram.bins)
    exponent = histogram.exponent
    while bins.max() >= _MAGNITUDES_MAX:
        bins, exponent = bins >> 1, exponent + 1
    return np.bincount(bins, weights=histogram.counts), float(2.0**exponent)


def _divergence(counts: Array, kept: int, levels: int) -> float:
    """KL divergence from the first ``kept`` bins, the rest clipped, to these pooled into levels."""
    inside = counts[:kept]
    reference = inside.copy()
    reference[-1] += counts[kept:].sum()
    pool = np.arange(kept) * levels // kept
    held = inside > 0
    sums = np.bincount(pool, weights=inside, minlength=levels)
    sizes = np.bincount(pool, weights=held, minlength=levels)
    pooled = np.where(held, (sums / np.maximum(sizes, 1))[pool], 0.0)
    if not pooled.any():
        return float("inf")
    p = reference / reference.sum()
    q = np.maximum(pooled / pooled.sum(), _UNSEEN)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())
