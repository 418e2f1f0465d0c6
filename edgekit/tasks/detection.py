"""Boxes with a class and a score: average precision as COCO defines it.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context" (2014), and pycocotools'
``COCOeval`` (area ``all``, no crowds), which gives the same figures: greedy matching by score in
each image, at most 100 boxes of a class, precision made monotone and read at 101 recalls. It is
not called here: an interval needs the figures of a thousand resamples, and for each of them it
would match all boxes anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan

import numpy as np

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.tally import targets_of
from edgekit.tasks.task import Metric, Tally
from edgekit.types import Array

MAX_BOXES = 100
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps (intersection over union) at which a box counts as found; their mean is ``map``."""
_RECALLS = np.linspace(0, 1, 101)
_FORM = "a row is the four numbers of a box, then its class; a class below 0 is padding"


class Detection:
    """Which objects were found, and how exactly."""

    name = "detection"
    classification = False


@dataclass(frozen=True)
class _Class:
    """The boxes of one class, best score first: the image of each, and whether it found an object
    at each threshold, bool [thresholds, boxes]; ``wanted`` objects of each image, float64 [N]."""

    images: Array
    found: Array
    wanted: Array

    def precision(self, weights: Array) -> float:
        """Mean over thresholds of the average precision; NaN where there is no object."""
        wanted = float(weights @ self.wanted)
        if wanted == 0:
            return nan
        own = weights[self.images]
        right = (self.found * own).cumsum(axis=1)
        wrong = (~self.found * own).cumsum(axis=1)
        recall = right / wanted
        precision = right / np.maximum(right + wrong, np.spacing(1))
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = 0.0
        for line, values in zip(recall, highest, strict=True):
            places = np.searchsorted(line, _RECALLS, side="left")
            total += values[places[places < len(values)]].sum() / len(_RECALLS)
        return total / len(recall)


@dataclass(frozen=True)
class DetectionTally:
    """The mean over classes of their average precision; those without an object do not count."""

    per_class: Sequence[_Class]
    n: int

    @property
    def contributions(self) -> Array | None:
        return None

    @property
    def groups(self) -> Sequence[int]:
        return [int(np.count_nonzero(one.wanted)) for one in self.per_class]

    @property
    def classes(self) -> Mapping[str, Tally]:
        return {}

    def value(self, weights: Array | None = None) -> float:
        weights = np.ones(self.n) if weights is None else weights
        values = np.array([one.precision(weights) for one in self.per_class])
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else nan


def average_precision(
    *, box_format: str = "xyxy", detections: Sequence[str] = (), half_overlap: bool = False
) -> Metric:
    """``map``, or ``map50``: at an overlap of one half only. ``detections`` name the outputs that
    hold boxes [M, 4], classes [M] and scores [M]; without them the primary one holds rows [M, 6] of
    box, score, class. Rows with a class below 0 or a score of 0 or less are padding."""
    thresholds = THRESHOLDS[:1] if half_overlap else THRESHOLDS
    name = "map50" if half_overlap else "map"
    tally = partial(_tally, box_format, tuple(detections), thresholds)
    return Metric(name, True, 0.0, 1.0, tally)


def _tally(
    box_format: str,
    names: tuple[str, ...],
    thresholds: Array,
    predictions: Predictions,
    primary: str,
) -> Tally:
    targets = targets_of(predictions, "detection")
    if targets.ndim != 3 or targets.shape[2] != 5:
        raise DataError(
            f"targets of detection are [N, objects, 5], not {list(targets.shape)}", hint=_FORM
        )
    n = len(predictions)
    boxes, classes, scores = _answers(predictions, names, primary)
    wanted_boxes, wanted_classes = corners(targets[..., :4], box_format), targets[..., 4]
    _check_targets(wanted_boxes, wanted_classes, predictions.ids)
    answered = corners(boxes, box_format)
    kept = (classes >= 0) & (scores > 0)
    per_class = []
    for one in np.unique(wanted_classes[wanted_classes >= 0]):
        theirs = wanted_classes == one
        images, found, points = [], [], []
        for place in range(n):
            own = np.flatnonzero(kept[place] & (classes[place] == one))
            own = own[np.argsort(-scores[place, own], kind="stable")][:MAX_BOXES]
            truth = wanted_boxes[place, theirs[place]]
            found.append(_matched(answered[place, own], truth, thresholds))
            points.append(scores[place, own])
            images.append(np.full(len(own), place))
        order = np.argsort(-np.concatenate(points), kind="stable")
        per_class.append(
            _Class(
                np.concatenate(images)[order],
                np.concatenate(found, axis=1)[:, order],
                theirs.sum(axis=1).astype(np.float64),
            )
        )
    return DetectionTally(per_class, n)


def corners(boxes: Array, box_format: str) -> Array:
    """``boxes`` [..., 4] as x1, y1, x2, y2, float64."""
    first, second, third, fourth = np.moveaxis(boxes.astype(np.float64), -1, 0)
    if box_format == "xywh":
        third, fourth = first + third, second + fourth
    elif box_format == "yxyx":
        first, second, third, fourth = second, first, fourth, third
    elif box_format == "cxcywh":
        left, top = first - third / 2, second - fourth / 2
        first, second, third, fourth = left, top, left + third, top + fourth
    return np.stack([first, second, third, fourth], axis=-1)


def overlaps(boxes: Array, others: Array) -> Array:
    """Intersection over union of corners [A, 4] and [B, 4], float64 [A, B]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(some[:, 2:] - some[:, :2], 0, None).prod(axis=1) for some in (boxes, others)]
    either = areas[0][:, None] + areas[1][None, :] - both
    return np.asarray(both / np.where(either == 0, 1.0, either))


def _matched(boxes: Array, truth: Array, thresholds: Array) -> Array:
    """Whether each box, best first, finds an object that no better one has: bool [T, boxes]."""
    found = np.zeros((len(thresholds), len(boxes)), bool)
    if not len(boxes) or not len(truth):
        return found
    shared = overlaps(boxes, truth)
    for row, threshold in zip(found, thresholds, strict=True):
        free = np.ones(len(truth), bool)
        for place, own in enumerate(shared):
            # The last of equal ones, as pycocotools takes it.
            best = len(own) - 1 - int(np.where(free, own, -1.0)[::-1].argmax())
            if free[best] and own[best] >= min(threshold, 1 - 1e-10):
                free[best], row[place] = False, True
    return found


def _answers(
    predictions: Predictions, names: tuple[str, ...], primary: str
) -> tuple[Array, Array, Array]:
    """Boxes [N, M, 4], classes [N, M] and scores [N, M]."""
    n = len(predictions)
    if not names:
        rows = predictions.outputs[primary]
        if rows.ndim != 3 or rows.shape[2] != 6:
            raise DataError(
                f"output {primary} is {list(rows.shape[1:])} per sample, not rows [M, 6] of box, "
                "score, class",
                hint="Name the outputs in evaluate.detections. Boxes that are not final (anchors, "
                "before the suppression of overlaps) take a metric of your own: evaluate.metric.",
            )
        return rows[..., :4], rows[..., 5], rows[..., 4]
    boxes, classes, scores = (predictions.outputs[name] for name in names)
    count = boxes.shape[1] if boxes.ndim == 3 else 0
    if boxes.shape != (n, count, 4) or classes.size != n * count or scores.size != n * count:
        shapes = ", ".join(f"{name} {list(predictions.outputs[name].shape[1:])}" for name in names)
        raise DataError(
            f"boxes are [M, 4], classes and scores [M] per sample; there is {shapes}",
            hint="evaluate.detections names boxes, classes and scores, in this order.",
        )
    return boxes, classes.reshape(n, count), scores.reshape(n, count)


def _check_targets(boxes: Array, classes: Array, ids: Sequence[str]) -> None:
    there = classes >= 0
    if not there.any():
        raise DataError("the targets hold no object, so nothing could be found", hint=_FORM)
    bad = there & ((boxes[..., 2:] < boxes[..., :2]).any(axis=2) | (classes % 1 != 0))
    for place, row in np.argwhere(bad):
        raise DataError(
            f"row {row} of the target of {ids[place]} is no box with a class",
            hint=f"See evaluate.box_format; {_FORM}.",
        )
