"""One class per sample: scores or probabilities [N, classes], the largest wins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.errors import DataError
from edgekit.types import Array

TOP_K = 5


class Classification:
    """Top-1, and top-5 where there are more than five classes."""

    name = "classification"
    classification = True

    def correct(self, output: Array, labels: Array, ids: tuple[str, ...]) -> Mapping[str, Array]:
        """See ``OutputTask.correct``. Axes of size one beside the classes are dropped.

        Equal scores, common among int8 values, rank by class index, as ``argmax`` picks: what an
        app that reads the output would show.
        """
        scores = output.reshape(len(ids), -1)
        classes = scores.shape[1]
        if max(output.shape[1:], default=0) != classes:
            raise DataError(
                f"an output of shape {list(output.shape[1:])} per sample is no list of classes",
                hint="Set evaluate.task to 'tensors', or name the class scores as first output.",
            )
        for position in np.flatnonzero((labels < 0) | (labels >= classes)):
            raise DataError(
                f"sample {ids[position]} has label {labels[position]}, "
                f"but the model knows {classes} classes (0 to {classes - 1})",
                hint="Are the labels of another dataset, or shifted by a background class?",
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
