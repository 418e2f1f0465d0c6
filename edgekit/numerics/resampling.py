"""Paired intervals of figures that are no proportions: means, and whatever samples can be weighed
in. Pure functions; no framework.

Sources: Student's t interval of the mean of paired differences; B. Efron and R. Tibshirani, "An
Introduction to the Bootstrap" (1993); T. Hesterberg, "What teachers should know about the
bootstrap", The American Statistician 69 (2015), whose expanded percentiles mend the percentile
interval of few samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, nan, sqrt
from statistics import NormalDist

import numpy as np

from edgekit.errors import UsageError
from edgekit.numerics.clusters import standard_error
from edgekit.numerics.intervals import CONFIDENCE, Interval
from edgekit.types import Array

RESAMPLES = 1000
SEED = 0

Statistic = Callable[[Array], float]
"""A figure of N samples, of which sample i counts ``weights[i]`` times (float64 [N])."""


def mean_interval(
    values: Array, confidence: float = CONFIDENCE, clusters: Array | None = None
) -> Interval:
    """Student's t interval of the mean of ``values``, float64 [N]; of a difference of means where
    they are the differences of pairs. ``clusters``, int64 [N] from 0 on, numbers what samples that
    are not independent have in common; only that many count as independent then.

    Raises:
        UsageError: fewer than two values, or clusters.
    """
    n = len(values) if clusters is None else int(clusters.max()) + 1
    if n < 2:
        raise UsageError(f"an interval of a mean needs at least two values, not {n}")
    centre = float(values.mean())
    error = (
        float(values.std(ddof=1)) / sqrt(n)
        if clusters is None
        else standard_error(values, clusters)
    )
    half = _t(confidence, n - 1) * error
    return Interval(centre - half, centre + half)


def paired_bootstrap(
    first: Statistic,
    second: Statistic,
    n: int,
    confidence: float = CONFIDENCE,
    clusters: Array | None = None,
) -> tuple[Interval, Interval]:
    """Intervals of ``first - second`` and of ``second`` alone, both figures of the same ``n``
    samples, which are resampled together; the same numbers every time. With ``clusters``, as in
    ``mean_interval``, those are resampled as wholes.

    A resample in which a figure is not defined (NaN) is left out.

    Raises:
        UsageError: fewer than two samples, or a figure that is hardly ever defined.
    """
    drawn = n if clusters is None else int(clusters.max()) + 1
    if drawn < 2:
        raise UsageError(f"a bootstrap needs at least two samples, not {drawn}")
    rng = np.random.default_rng(SEED)
    # At least ten of them lie beyond either end.
    resamples = max(RESAMPLES, ceil(20 / (1 - confidence) - 1e-6))
    pairs = np.full((resamples, 2), nan)
    for row in pairs:
        times = np.bincount(rng.integers(0, drawn, drawn), minlength=drawn).astype(np.float64)
        weights = times if clusters is None else times[clusters]
        row[:] = first(weights), second(weights)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < resamples // 2:
        raise UsageError(f"the figure is not defined on most resamples of {n} samples")
    tail = NormalDist().cdf(-sqrt(drawn / (drawn - 1)) * _t(confidence, drawn - 1))

    def ends(values: Array) -> Interval:
        low, high = np.quantile(values, (tail, 1 - tail))
        return Interval(float(low), float(high))

    return ends(pairs[:, 0] - pairs[:, 1]), ends(pairs[:, 1])


def least_half_width(groups: Sequence[float], confidence: float = CONFIDENCE) -> float:
    """How far from 0 the mean difference of yes/no answers may be where no pair differed: the
    half-width of Tango's interval, ``z^2 / (n + z^2)``, over ``groups`` of n samples that count
    alike (their squares add up, as in G. Zou and A. Donner, Statistics in Medicine 27, 2008).

    A bootstrap of samples that all agree has no width at all, which would prove anything.
    """
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    return sqrt(sum((z2 / (n + z2)) ** 2 for n in groups)) / len(groups)


def _t(confidence: float, freedom: int) -> float:
    from scipy.special import stdtrit

    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1, not {confidence}")
    return float(stdtrit(freedom, (1 + confidence) / 2))
