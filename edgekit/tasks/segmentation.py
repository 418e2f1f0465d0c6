"""A class per pixel: scores [N, H, W, classes], or class indices [N, H, W]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import nan

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.tally import RatioTally, targets_of
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array


class Segmentation:
    """How far the areas of classes overlap those of the masks."""

    name = "segmentation"
    classification = False


@dataclass(frozen=True)
class IouTally:
    """The mean over classes of pixels that both call so over pixels that either does, summed over
    samples; classes that no mask holds do not count. ``both``, ``either`` and ``wanted`` are pixels
    as float64 [N, classes]."""

    both: Array
    either: Array
    wanted: Array

    @property
    def n(self) -> int:
        return len(self.both)

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def groups(self) -> Sequence[int]:
        found: list[int] = (self.wanted > 0).sum(axis=0)[self._there].tolist()
        return found

    @cached_property
    def classes(self) -> Mapping[str, Tally]:
        return {
            str(one): RatioTally(self.both[:, one], self.either[:, one])
            for one in np.flatnonzero(self._there)
        }

    @property
    def _there(self) -> Array:
        return np.asarray(self.wanted.sum(axis=0) > 0)

    def value(self, weights: Array | None = None) -> float:
        weights = np.ones(self.n) if weights is None else weights
        own = weights @ self.wanted > 0
        if not own.any():
            return nan
        return float(((weights @ self.both)[own] / (weights @ self.either)[own]).mean())


def mean_iou(ignore_class: int | None = None) -> Metric:
    """See ``IouTally``; pixels that the mask calls ``ignore_class`` are left out."""
    return Metric("mean_iou", True, 0.0, 1.0, partial(_mean_iou, ignore_class))


def _mean_iou(ignore_class: int | None, predictions: Predictions, primary: str) -> Tally:
    masks = targets_of(predictions, "mean_iou")
    output = predictions.outputs[primary]
    shape = output.shape[1:]
    if masks.ndim == 4 and masks.shape[3] == 1:
        masks = masks[..., 0]
    scores = len(shape) == 3 and shape[2] > 1
    size = shape[:2] if len(shape) == 3 else shape
    if masks.dtype.kind not in "iu" or masks.shape[1:] != size:
        raise DataError(
            f"output {primary} is {list(shape)} per sample, its mask {masks.dtype} "
            f"{list(masks.shape[1:])}",
            hint="A mask is whole numbers [H, W] of the output's own height and width.",
        )
    classes = shape[2] if scores else 1 + int(max(masks.max(), output.max(), 0))
    both, either, wanted = (np.zeros((len(masks), classes)) for _ in range(3))
    for place, (answer, mask) in enumerate(zip(output, masks, strict=True)):
        named = answer.argmax(axis=2) if scores else _whole(answer.reshape(size), primary)
        counted = np.ones(size, bool) if ignore_class is None else mask != ignore_class
        truth, guess = mask[counted].astype(np.int64), named[counted]
        wrong = truth[(truth < 0) | (truth >= classes)]
        if len(wrong):
            raise DataError(
                f"the mask of {predictions.ids[place]} holds the class {wrong[0]}, "
                f"but output {primary} has {classes} classes (0 to {classes - 1})",
                hint=f"If it marks pixels that do not count: evaluate.ignore_class: {wrong[0]}",
            )
        both[place] = np.bincount(truth[truth == guess], minlength=classes)
        wanted[place] = np.bincount(truth, minlength=classes)
        either[place] = wanted[place] + np.bincount(guess, minlength=classes) - both[place]
    return IouTally(both, either, wanted)


def _whole(answer: Array, primary: str) -> Array:
    named = answer.astype(np.int64)
    if (named != answer).any() or named.min() < 0:
        raise DataError(
            f"output {primary} holds no class scores [H, W, classes], and numbers that are no "
            "class indices",
            hint="Name the output that holds the classes first in model.outputs.",
        )
    return named
