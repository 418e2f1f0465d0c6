"""Scores against labels or targets, float beside quantized, as the task understands them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.data import Dataset
from edgekit.errors import DataError, SessionError, UsageError
from edgekit.numerics.clusters import group_numbers
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.tasks import metrics_of
from edgekit.tasks.compare import compare
from edgekit.tasks.tally import blocks
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Array


def measure_accuracy(
    spec: EvaluateSpec,
    float_model: Predictions,
    quantized: Predictions,
    *,
    primary: str,
    clusters: Array | None = None,
) -> Mapping[str, MetricAccuracy]:
    """Score both models' predictions of the same labelled samples by what ``spec`` asks for; by
    metric name. Empty where that is nothing. ``clusters`` as in ``Pair``.

    Raises:
        DataError: no samples, or no labels or targets, or some that the model cannot express; or a
            metric of the user's own failed.
        SessionError: an answer is NaN or infinite.
        UsageError: the predictions are of different samples, or ``primary`` is no output.
    """
    if float_model.ids != quantized.ids:
        raise UsageError("accuracy needs predictions of the same samples in the same order")
    if not len(float_model):
        raise DataError("there are no samples to score")
    if float_model.labels is None and float_model.targets is None:
        raise DataError(
            "these samples have no labels, so accuracy cannot be measured",
            hint="Set evaluate.labelled to false, or evaluate on labelled data.",
        )
    for predictions in (float_model, quantized):
        if primary not in predictions.outputs:
            known = ", ".join(f"'{name}'" for name in predictions.outputs)
            raise UsageError(f"no output is called '{primary}'; there is {known}")
        _refuse_unfit(predictions)
    for name, array in float_model.outputs.items():
        theirs = quantized.outputs.get(name)
        if theirs is not None and theirs.shape[1:] != array.shape[1:]:
            raise SessionError(
                f"output {name} is {list(theirs.shape[1:])} per sample in the quantized model, "
                f"{list(array.shape[1:])} in the float one",
                hint="Are these two files of one model?",
            )
    metrics = metrics_of(spec, float_model, primary)
    return {each.name: compare(each, float_model, quantized, primary, clusters) for each in metrics}


def clusters_of(labelled: Dataset, answered: Predictions) -> Array | None:
    """The number of each answered sample's recording, int64 [N] from 0 on, where several samples
    are of one: those are not independent, which makes intervals wider."""
    if len(labelled.images) >= len(labelled):
        return None
    origin = {sample.id: sample.image_id for sample in labelled}
    return group_numbers([origin[name] for name in answered.ids])


def _refuse_unfit(predictions: Predictions) -> None:
    """A comparison with NaN is false, whatever was asked: it would be scored as an answer."""
    for name, array in predictions.outputs.items():
        for part in blocks(len(array)):
            flat = array[part].reshape(part.stop - part.start, -1)
            bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
            if len(bad):
                raise SessionError(
                    f"output {name} is NaN or infinite for {predictions.ids[part.start + bad[0]]}",
                    hint="Look for NaN in the weights, or for input values the model never saw.",
                )
