"""Tallies that several metrics share, and the checks before any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.task import Tally
from edgekit.types import Array

BLOCK = 4096
"""Samples taken at once, so that what is made on the way stays small beside the answers."""


@dataclass(frozen=True)
class MeanTally:
    """A metric that is ``finish`` of the mean of ``values``, float64 [N]."""

    values: Array
    finish: Callable[[float], float] | None = None

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def contributions(self) -> Array | None:
        return self.values if self.finish is None else None

    @property
    def groups(self) -> Sequence[int]:
        return (self.n,)

    @property
    def classes(self) -> Mapping[str, Tally]:
        return {}

    def value(self, weights: Array | None = None) -> float:
        mean = float(np.average(self.values, weights=weights))
        return mean if self.finish is None else self.finish(mean)


@dataclass(frozen=True)
class RatioTally:
    """A metric that is a sum of ``parts`` over a sum of ``wholes``, both float64 [N]."""

    parts: Array
    wholes: Array

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def n(self) -> int:
        return len(self.parts)

    @property
    def groups(self) -> Sequence[int]:
        return (self.n,)

    @property
    def classes(self) -> Mapping[str, Tally]:
        return {}

    def value(self, weights: Array | None = None) -> float:
        parts, wholes = self.parts, self.wholes
        if weights is not None:
            parts, wholes = parts * weights, wholes * weights
        whole = float(wholes.sum())
        return float(parts.sum()) / whole if whole else nan


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """``count`` samples in their order, at most ``size`` at once."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def labels_of(predictions: Predictions, metric: str) -> Array:
    """int64 [N].

    Raises:
        DataError: there are none.
    """
    if predictions.labels is None:
        raise DataError(
            f"{metric} needs a label for every sample, and these have none",
            hint="An .npz holds them as 'labels'; see docs/metrics.md.",
        )
    return predictions.labels


def targets_of(predictions: Predictions, metric: str) -> Array:
    """Numbers [N, ...].

    Raises:
        DataError: there are none.
    """
    if predictions.targets is None:
        raise DataError(
            f"{metric} needs a target for every sample, and these have none",
            hint="An .npz holds them as 'targets', beside the inputs; see docs/metrics.md.",
        )
    return predictions.targets
