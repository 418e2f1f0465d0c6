"""From statistics of activations to quantization ranges. Free of any framework.

A new estimator is a module with one function from ``TensorStatistics`` to ``Range``, and a row
in ``ESTIMATORS``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.calibrate.statistics import Range, Statistics, TensorStatistics


@dataclass(frozen=True)
class EstimatorEntry:
    """A row of the table of estimators. Without ``histogram``, extremes are all it needs."""

    summary: str
    histogram: bool = False


ESTIMATORS: dict[str, EstimatorEntry] = {
    "minmax": EstimatorEntry("exact smallest and largest value over all samples"),
    "mean_minmax": EstimatorEntry("mean of each sample's smallest and largest value"),
    "moving_average": EstimatorEntry(
        "each sample's smallest and largest value, averaged with a memory that fades"
    ),
    "percentile": EstimatorEntry("all but 0.01 % of the values at either end", histogram=True),
    "mse": EstimatorEntry("the least squared error of the values in INT8", histogram=True),
    "entropy": EstimatorEntry(
        "the least loss of information about the values (KL divergence)", histogram=True
    ),
}
"""Names a recipe may use for ``quantize.estimator``; the module is the name."""

_NONE: Mapping[str, str] = MappingProxyType({})


def needs_histogram(estimators: Iterable[str]) -> bool:
    """Whether one of ``estimators`` looks at more than extremes."""
    return any(ESTIMATORS[name].histogram for name in estimators)


def estimate(
    statistics: Statistics,
    estimator: str,
    *,
    exact: Collection[str] = (),
    apart: Mapping[str, str] = _NONE,
) -> dict[str, Range]:
    """The range of every tensor by the estimator called ``estimator``, or by the one that ``apart``
    has for it. Zero is in every range, and nothing else that was not seen.

    Tensors named in ``exact`` keep their exact extremes: the ends of the model. The largest value
    of its outputs is the answer, which is lost when it is clipped. Its inputs are bounded by the
    preprocessing, so that they have no outliers to clip, and what is clipped there is missing
    everywhere: on MobileNetV2 it was 37 % of all noise with mean_minmax (dev crops).
    """
    return {
        name: _estimate(tensor, "minmax" if name in exact else apart.get(name, estimator))
        for name, tensor in statistics.items()
    }


def _estimate(tensor: TensorStatistics, estimator: str) -> Range:
    from edgekit.calibrate.statistics import Range

    found: Range = getattr(import_module(f"edgekit.calibrate.{estimator}"), estimator)(tensor)
    seen = tensor.exact
    low, high = (min(max(end, seen.min), seen.max) for end in (found.min, found.max))
    return Range(min=min(low, 0.0), max=max(high, 0.0))


__all__ = ["ESTIMATORS", "EstimatorEntry", "estimate", "needs_histogram"]
