"""Confidence intervals of the quantities edgekit reports. Pure functions; no framework.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
JASA 22 (1927); T. Tango, "Equivalence test and confidence interval for the difference in
proportions for the paired-sample design", Statistics in Medicine 17 (1998); J. Nam and
W. Blackwelder, "Analysis of the ratio of marginal probabilities in a matched-pair setting",
Statistics in Medicine 21 (2002); Q. McNemar, Psychometrika 12 (1947), exact form; B. Efron and
R. Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval. Which of them: see
R. G. Newcombe, Statistics in Medicine 17 (1998), who compares intervals for single and for paired
proportions; the Wald intervals, which need none of this, collapse to a point when nothing differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log2, sqrt
from statistics import NormalDist

import numpy as np

from edgekit.errors import UsageError
from edgekit.types import Array

CONFIDENCE = 0.95
RESAMPLES = 2000
_ROUNDED = 1 + 1e-12
"""Fractions of counts may add up to a last digit more."""


@dataclass(frozen=True)
class Interval:
    """Two-sided interval, ends included."""

    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion, ``successes`` of ``n``; both may be fractions, as
    effective numbers of samples that are not independent are.

    Raises:
        UsageError: ``n`` is below one or the counts do not fit.
    """
    if n < 1 or not 0 <= successes <= n:
        raise UsageError(f"no proportion: {successes} of {n}")
    z = _z(confidence)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # The ends are exactly 0 and 1 at the extremes; rounding must not say otherwise.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def paired_difference(
    only_first: float, only_second: float, n: float, confidence: float = CONFIDENCE
) -> Interval:
    """Tango's score interval of ``p_first - p_second`` for ``n`` pairs of yes/no outcomes.

    ``only_first`` pairs are a success in the first alone, ``only_second`` in the second alone;
    pairs that agree count through ``n`` only. With ten or more pairs its coverage is close to
    nominal even when few pairs differ. Counts may be fractions, as in ``wilson``.

    Raises:
        UsageError: ``n`` is below one or the counts do not fit.
    """
    b, c = only_first, only_second
    if n < 1 or b < 0 or c < 0 or b + c > n * _ROUNDED:
        raise UsageError(f"no paired proportions: {b} and {c} of {n}")
    z = _z(confidence)
    estimate = (b - c) / n
    # The score falls from above +z to below -z over [-1, 1] and is zero at the estimate.
    low, high = -1.0, 1.0
    if (b, c) != (0, n):
        low = _solve(lambda d: paired_difference_score(b, c, n, d) - z, -1.0, estimate)
    if (b, c) != (n, 0):
        high = _solve(lambda d: paired_difference_score(b, c, n, d) + z, estimate, 1.0)
    return Interval(low, high)


def paired_ratio(
    both: float, only_first: float, only_second: float, n: float, confidence: float = CONFIDENCE
) -> Interval:
    """Nam and Blackwelder's score interval of ``p_second / p_first`` for ``n`` pairs of yes/no
    outcomes; ``both`` pairs are a success in both, the others as in ``paired_difference``.

    Like Tango's it keeps a width where no pair differs, which a bootstrap does not.

    Raises:
        UsageError: the counts do not fit, or nothing is a success in the first: no ratio.
    """
    a, b, c = both, only_first, only_second
    if n < 1 or min(a, b, c) < 0 or a + b + c > n * _ROUNDED:
        raise UsageError(f"no paired proportions: {a}, {b} and {c} of {n}")
    if a + b == 0:
        raise UsageError("no ratio to a proportion of zero")
    z = _z(confidence)
    estimate = (a + c) / (a + b)
    low, above = 0.0, max(2.0 * estimate, 1.0)
    if estimate > 0:
        low = _solve(lambda ratio: _ratio_score(a, b, c, n, ratio) - z, 1e-12, estimate)
    while _ratio_score(a, b, c, n, above) + z > 0:
        above *= 2.0
    high = _solve(lambda ratio: _ratio_score(a, b, c, n, ratio) + z, estimate, above)
    return Interval(low, high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value of "neither is better", of as many pairs that are a success in one alone:
    McNemar's test in its exact form, by the binomial distribution."""
    from scipy.special import bdtr

    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, total, 0.5)))


def rounds_to_be_sure(confidence: float) -> int:
    """The fewest values whose whole range holds the median with that ``confidence``: the range of n
    does so with probability ``1 - 2 * 0.5^n``, and no bootstrap of them can know more."""
    return max(2, ceil(log2(2 / (1 - confidence)) - 1e-9))


def median_interval(values: Array, confidence: float = CONFIDENCE) -> Interval:
    """Of the median of what ``values``, float64 [n], are drawn from, whatever its distribution: two
    of the values themselves, by the binomial distribution of how many lie below it. Of fewer than
    ``rounds_to_be_sure`` it is the whole range, which is less sure than asked for.

    Raises:
        UsageError: no value.
    """
    from scipy.special import bdtr

    n = len(values)
    if n == 0:
        raise UsageError("no interval of the median of nothing")
    left_out = 0  # at either end; with one more the tail would be too heavy
    while left_out + 1 < n / 2 and bdtr(left_out + 1, n, 0.5) <= (1 - confidence) / 2:
        left_out += 1
    ordered = np.sort(values)
    return Interval(float(ordered[left_out]), float(ordered[n - 1 - left_out]))


def bootstrap_ratio_of_medians(
    numerators: Array,
    denominators: Array,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Percentile bootstrap interval of ``median(numerators) / median(denominators)``.

    Both are float64 [n], paired by position (measured in the same round), and resampled as pairs.

    Raises:
        UsageError: fewer than two pairs, unequal lengths, or a denominator that is not positive.
    """
    if numerators.shape != denominators.shape or numerators.ndim != 1 or len(numerators) < 2:
        raise UsageError(
            f"a bootstrap needs at least two pairs, not shapes "
            f"{list(numerators.shape)} and {list(denominators.shape)}"
        )
    if not (denominators > 0).all():
        raise UsageError("a ratio of medians needs positive denominators")
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(numerators), (resamples, len(numerators)))
    ratios = np.median(numerators[drawn], axis=1) / np.median(denominators[drawn], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, (tail, 1 - tail))
    return Interval(float(low), float(high))


def samples_to_decide(estimate: float, interval: Interval, n: int, limit: float) -> int | None:
    """About how many samples put the whole interval on one side of ``limit``, if they are like the
    ``n`` that ``estimate`` and ``interval`` come from: widths go with one over the root of their
    number. ``None`` where the estimate lies at the limit, and no number would do."""
    apart = abs(limit - estimate)
    if interval.high <= limit or interval.low > limit:
        return n
    width = interval.high - estimate if estimate < limit else estimate - interval.low
    if apart <= 1e-6 * width:
        return None
    return ceil(n * (width / apart) ** 2)


def samples_by_score(score: float, n: int, confidence: float = CONFIDENCE) -> int | None:
    """How many samples in place of ``n`` put the score interval on one side of a limit, if the
    rates stay as seen. ``score`` is the statistic of the ``n`` at the limit, which grows with the
    root of their number; ``None`` where the estimate lies at the limit, and no number would do."""
    if abs(score) <= 1e-6:
        return None
    return max(1, ceil(n * (_z(confidence) / score) ** 2))


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1, not {confidence}")
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2)


def paired_difference_score(b: float, c: float, n: float, difference: float) -> float:
    """Tango's statistic of ``b`` and ``c`` pairs that are a success in the first and in the second
    alone: standardised distance of the observed ``(b - c) / n`` from ``difference``. At the same
    rates it grows with the root of ``n``.

    The variance is taken under the hypothesis, with the rate of ``c`` at its constrained maximum
    likelihood: the larger root of ``2n q^2 + B q + C = 0``.
    """
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    root = sqrt(max(0.0, linear * linear - 8 * n * constant))
    q = (root - linear) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    distance = b - c - n * difference
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else float("inf") * (1 if distance > 0 else -1)
    return distance / sqrt(variance)


def _ratio_score(a: float, b: float, c: float, n: float, ratio: float) -> float:
    """Nam and Blackwelder's statistic: standardised distance of ``(a + c) / (a + b)`` from
    ``ratio``, falling as that grows. The variance is taken under the hypothesis, with the rates of
    ``b`` and ``c`` at their constrained maximum likelihood.
    """
    first, second, lost, won = (a + b) / n, (a + c) / n, b / n, c / n
    square = ratio * ratio
    root = sqrt((second - square * first) ** 2 + 4 * square * lost * won)
    q_won = (square * (first + 2 * won) - second + root) / (2 * ratio * (ratio + 1))
    q_lost = ratio * q_won - (ratio - 1) * (a + b + c) / n
    # Neither is below zero, but rounding may make it so.
    variance = ratio * (max(0.0, q_won) + max(0.0, q_lost)) / n
    distance = second - ratio * first
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else float("inf") * (1 if distance > 0 else -1)
    return distance / sqrt(variance)


def _solve(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero in [low, high], by bisection to float precision."""
    for _ in range(100):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
