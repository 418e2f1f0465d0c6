"""From statistics of activations to quantization ranges. Free of any framework.

A new estimator is a module with one function from ``TensorStatistics`` to ``Range``, and a row
in ``ESTIMATORS``.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.calibrate.statistics import Range, Statistics

ESTIMATORS: dict[str, str] = {
    "minmax": "exact smallest and largest value over all samples",
    "mean_minmax": "mean of each sample's smallest and largest value",
}
"""Names a recipe may use for ``quantize.estimator``, with a line each; the module is the name."""


def estimate(
    statistics: Statistics, estimator: str, *, exact: Collection[str] = ()
) -> dict[str, Range]:
    """The range of every tensor by the estimator called ``estimator``.

    Tensors named in ``exact`` keep their exact extremes: the model's outputs, whose largest value
    is the answer, lose the answer when it is clipped.
    """
    from edgekit.calibrate.minmax import minmax

    function = getattr(import_module(f"edgekit.calibrate.{estimator}"), estimator)
    return {
        name: minmax(tensor) if name in exact else function(tensor)
        for name, tensor in statistics.items()
    }


__all__ = ["ESTIMATORS", "estimate"]
