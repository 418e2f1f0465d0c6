"""Values to hit: outputs and targets are numbers of one shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.tally import MeanTally, blocks, targets_of
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array


class Regression:
    """Errors of values, and the angle between vectors."""

    name = "regression"
    classification = False


def mae() -> Metric:
    """Mean absolute error: of a sample's values, then of samples."""
    return Metric("mae", False, 0.0, None, partial(_tally, _absolute, None))


def rmse() -> Metric:
    """Root of the mean squared error over all values of all samples."""
    return Metric("rmse", False, 0.0, None, partial(_tally, _squared, sqrt))


def cosine() -> Metric:
    """Mean cosine of the angle between each sample's output and its target, as one vector each; an
    output of nothing but zeros counts 0."""
    return Metric("cosine", True, -1.0, 1.0, partial(_tally, _cosine, None))


def _tally(
    of: Callable[[Array, Array], Array],
    finish: Callable[[float], float] | None,
    predictions: Predictions,
    primary: str,
) -> Tally:
    """``of`` float64 [samples, values] each gives one value a sample."""
    targets = targets_of(predictions, "regression")
    output = predictions.outputs[primary]
    n = len(predictions)
    own, wanted = _bare(output.shape[1:]), _bare(targets.shape[1:])
    if own != wanted:
        raise DataError(
            f"output {primary} is {list(output.shape[1:])} per sample, "
            f"its target {list(targets.shape[1:])}",
            hint="Targets are in the output's own shape; images and maps are channels-last.",
        )
    values = np.empty(n)
    for part in blocks(n, max(1, 2**22 // max(1, output[0].size))):
        count = part.stop - part.start
        values[part] = of(
            output[part].reshape(count, -1).astype(np.float64),
            targets[part].reshape(count, -1).astype(np.float64),
        )
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise DataError(
            f"the target of {predictions.ids[bad[0]]} is all zeros, which has no direction",
            hint="Score mae or rmse, or leave such samples out.",
        )
    return MeanTally(values, finish)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _absolute(output: Array, target: Array) -> Array:
    return np.asarray(np.abs(output - target).mean(axis=1))


def _squared(output: Array, target: Array) -> Array:
    return np.asarray(((output - target) ** 2).mean(axis=1))


def _cosine(output: Array, target: Array) -> Array:
    """NaN where the target is zero."""
    lengths = np.linalg.norm(output, axis=1)
    wanted = np.linalg.norm(target, axis=1)
    dots = (output * target).sum(axis=1)
    cosines = np.clip(dots / np.where(lengths * wanted == 0, 1.0, lengths * wanted), -1, 1)
    return np.where(wanted == 0, np.nan, cosines)
