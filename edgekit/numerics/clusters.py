"""Samples that are not independent: several of one photo, one recording, one person.

Source: J. Rao and A. Scott, "A simple method for the analysis of clustered binary data", Biometrics
48 (1992): counts are divided by the design effect, how much larger the variance is than that of as
many independent samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from edgekit.numerics.intervals import CONFIDENCE
from edgekit.types import Array

FEW_GROUPS = 20
"""Of fewer, how alike samples are cannot be told well enough: of 8 to 10 groups of 100 samples
each, a model at its limit passed up to 9 % of the time (see ``benchmarks/coverage.py``)."""


def design_effect(values: Array, groups: Array, confidence: float = CONFIDENCE) -> float:
    """Of the mean of ``values``, float64 [N], whose samples belong to ``groups``, int64 [N] from 0
    on: at least 1. Where all are alike the variance says nothing, and where there are fewer than
    ``FEW_GROUPS`` it is not known: each group counts once.

    The variance is an estimate from as many groups, so a normal interval of that ``confidence`` is
    widened to Student's.
    """
    from scipy.special import stdtrit

    n, count = len(values), int(groups.max()) + 1
    if count == n or n < 2:
        return 1.0
    independent = float(values.var()) * n
    if independent == 0.0 or count < FEW_GROUPS:
        return n / count
    between = float((_sums(values, groups) ** 2).sum()) * count / (count - 1)
    end = 1 - (1 - confidence) / 2
    widened = float(stdtrit(count - 1, end)) / NormalDist().inv_cdf(end)
    return min(float(n), max(1.0, between / independent) * widened**2)


def standard_error(values: Array, groups: Array) -> float:
    """Of the mean of ``values``, by the sums of each group's deviations; float64 [N] as above."""
    count = int(groups.max()) + 1
    total = float((_sums(values, groups) ** 2).sum())
    return float(np.sqrt(total * count / (count - 1)) / len(values))


def group_numbers(names: Sequence[str]) -> Array:
    """int64 [N]: the same number for the same name, from 0 on."""
    return np.asarray(np.unique(np.array(list(names)), return_inverse=True)[1], np.int64)


def _sums(values: Array, groups: Array) -> Array:
    return np.asarray(np.bincount(groups, values - values.mean()))
