"""One class per sample: scores or probabilities [N, classes], the largest wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import nan

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.tally import MeanTally, blocks, labels_of
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array

_PRIMARY = "the first in model.outputs is the primary."


class Classification:
    """Top-k, recall and F1 of classes."""

    name = "classification"
    classification = True


@dataclass(frozen=True)
class RecallTally:
    """The mean over classes of the share of their samples that were ``right``, bool [N]; ``labels``
    int64 [N]. Classes without a sample do not count. Also called balanced accuracy."""

    right: Array
    labels: Array

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def groups(self) -> Sequence[int]:
        return [tally.n for tally in self.classes.values()]

    @cached_property
    def classes(self) -> Mapping[str, Tally]:
        return {
            str(one): MeanTally(self.right[self.labels == one].astype(np.float64))
            for one in np.unique(self.labels)
        }

    def value(self, weights: Array | None = None) -> float:
        weights = np.ones(self.n) if weights is None else weights
        there = np.bincount(self.labels, weights)
        found = np.bincount(self.labels, weights * self.right)
        return float((found[there > 0] / there[there > 0]).mean())


@dataclass(frozen=True)
class F1Tally:
    """The mean of ``2 tp / (2 tp + fp + fn)`` over the classes that have samples."""

    chosen: Array
    labels: Array

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def groups(self) -> Sequence[int]:
        there: list[int] = np.unique(self.labels, return_counts=True)[1].tolist()
        return there

    @property
    def classes(self) -> Mapping[str, Tally]:
        return {}

    def value(self, weights: Array | None = None) -> float:
        weights = np.ones(self.n) if weights is None else weights
        size = int(max(self.labels.max(), self.chosen.max())) + 1
        there = np.bincount(self.labels, weights, size)
        named = np.bincount(self.chosen, weights, size)
        right = np.bincount(self.labels, weights * (self.chosen == self.labels), size)
        own = there > 0
        return float((2 * right[own] / (there + named)[own]).mean()) if own.any() else nan


def top(k: int) -> Metric:
    """The share of samples whose label is among the ``k`` largest scores. Equal scores, common
    among int8 values, rank by class index, as ``argmax`` picks: what an app that reads the output
    would show."""
    return Metric(f"top{k}", True, 0.0, 1.0, partial(_top, k))


def recall() -> Metric:
    """See ``RecallTally``."""
    return Metric("recall", True, 0.0, 1.0, _recall)


def macro_f1() -> Metric:
    """See ``F1Tally``."""
    return Metric("macro_f1", True, 0.0, 1.0, _macro_f1)


def class_count(predictions: Predictions, primary: str) -> int:
    """Scores per sample of the primary output.

    Raises:
        DataError: it is no list of classes.
    """
    shape = predictions.outputs[primary].shape[1:]
    classes = int(np.prod(shape, dtype=np.int64))
    if max(shape, default=0) != classes or classes < 2:
        raise DataError(
            f"output {primary}, {list(shape)} per sample, is no list of classes",
            hint=f"Set evaluate.task to 'tensors', or list the class scores first: {_PRIMARY}",
        )
    return classes


def ranks(predictions: Predictions, primary: str) -> Array:
    """Place of each sample's labelled class, int64 [N], 0 for the winner. Axes of size one are
    dropped.

    Raises:
        DataError: no list of classes, or a label that is none of them, or all labels the same.
    """
    labels, scores = _checked(predictions, primary)
    found = np.empty(len(labels), np.int64)
    for part in blocks(len(labels)):
        some, label = scores[part], labels[part, None]
        own = np.take_along_axis(some, label, axis=1)
        earlier = np.arange(scores.shape[1]) < label
        found[part] = ((some > own) | ((some == own) & earlier)).sum(axis=1)
    return found


def _checked(predictions: Predictions, primary: str) -> tuple[Array, Array]:
    labels, ids = labels_of(predictions, "classification"), predictions.ids
    classes = class_count(predictions, primary)
    for position in np.flatnonzero((labels < 0) | (labels >= classes)):
        raise DataError(
            f"sample {ids[position]} has label {labels[position]}, "
            f"but output {primary} has {classes} classes (0 to {classes - 1})",
            hint="Are the labels of another dataset, or shifted by a background class? Or is "
            f"this not the output they are about: {_PRIMARY}",
        )
    if len(labels) > 1 and (labels == labels[0]).all():
        raise DataError(
            f"all {len(labels)} samples have the label {labels[0]}: a model that always answers "
            "that would be right",
            hint="Evaluate on samples of several classes.",
        )
    return labels, predictions.outputs[primary].reshape(len(ids), classes)


def _top(k: int, predictions: Predictions, primary: str) -> Tally:
    classes = class_count(predictions, primary)
    if k >= classes:
        raise DataError(
            f"top{k} is always right: output {primary} has {classes} classes",
            hint=f"Name a smaller one in evaluate.metrics: top1 to top{classes - 1}.",
        )
    return MeanTally((ranks(predictions, primary) < k).astype(np.float64))


def _recall(predictions: Predictions, primary: str) -> Tally:
    return RecallTally(ranks(predictions, primary) == 0, labels_of(predictions, "recall"))


def _macro_f1(predictions: Predictions, primary: str) -> Tally:
    labels, scores = _checked(predictions, primary)
    chosen = np.concatenate([scores[part].argmax(axis=1) for part in blocks(len(labels))])
    return F1Tally(chosen, labels)
