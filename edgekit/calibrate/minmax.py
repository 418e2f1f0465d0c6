"""Exact extremes over all samples: nothing that was seen is ever clipped."""

from __future__ import annotations

from edgekit.calibrate.statistics import Range, TensorStatistics


def minmax(statistics: TensorStatistics) -> Range:
    return statistics.exact
