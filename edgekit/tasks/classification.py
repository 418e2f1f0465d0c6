"""One class per sample: scores or probabilities [N, classes], the largest wins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.errors import DataError
from edgekit.numerics.intervals import paired_difference, wilson
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Array

TOP_K = 5
_PRIMARY = "the first in model.outputs is the primary."


class Classification:
    """Top-1, and top-5 where there are more than five classes."""

    name = "classification"
    classification = True

    def score(
        self, float_model: Predictions, quantized: Predictions, primary: str
    ) -> Mapping[str, MetricAccuracy]:
        """See ``OutputTask.score``: proportions of right answers, compared sample by sample."""
        labels, ids = float_model.labels, float_model.ids
        assert labels is not None
        before = self.correct(float_model.outputs[primary], labels, ids, name=primary)
        after = self.correct(quantized.outputs[primary], labels, ids, name=primary)
        return {name: _metric(right, after[name]) for name, right in before.items()}

    def correct(
        self, output: Array, labels: Array, ids: tuple[str, ...], *, name: str
    ) -> Mapping[str, Array]:
        """Per metric, whether each sample was right: bool [N]. Axes of size one are dropped.

        Equal scores, common among int8 values, rank by class index, as ``argmax`` picks: what an
        app that reads the output would show. ``name`` is what errors call the output.
        """
        scores = output.reshape(len(ids), -1)
        classes = scores.shape[1]
        if max(output.shape[1:], default=0) != classes:
            raise DataError(
                f"output {name}, {list(output.shape[1:])} per sample, is no list of classes",
                hint=f"Set evaluate.task to 'tensors', or list the class scores first: {_PRIMARY}",
            )
        for position in np.flatnonzero((labels < 0) | (labels >= classes)):
            raise DataError(
                f"sample {ids[position]} has label {labels[position]}, "
                f"but output {name} has {classes} classes (0 to {classes - 1})",
                hint="Are the labels of another dataset, or shifted by a background class? Or is "
                f"this not the output they are about: {_PRIMARY}",
            )
        ranks = _ranks(scores, labels)
        hits = {"top1": ranks == 0}
        if classes > TOP_K:
            hits["top5"] = ranks < TOP_K
        return hits


def _ranks(scores: Array, labels: Array) -> Array:
    """Place of the labelled class of each sample, 0 for the winner."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return np.asarray(((scores > own) | ((scores == own) & earlier)).sum(axis=1))


def _metric(float_right: Array, quantized_right: Array) -> MetricAccuracy:
    n = len(float_right)
    before, after = int(float_right.sum()), int(quantized_right.sum())
    of_drop = paired_difference(
        int((float_right & ~quantized_right).sum()), int((quantized_right & ~float_right).sum()), n
    )
    of_quantized = wilson(after, n)
    return MetricAccuracy(
        float=before / n,
        quantized=after / n,
        drop=(before - after) / n,
        n=n,
        ci_low=of_drop.low,
        ci_high=of_drop.high,
        quantized_ci_low=of_quantized.low,
        quantized_ci_high=of_quantized.high,
    )
