"""Scores against labels, float beside quantized, as the task understands them."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.errors import DataError, UsageError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.task import MetricAccuracy, OutputTask


def measure_accuracy(
    task: OutputTask, float_model: Predictions, quantized: Predictions, *, primary: str
) -> Mapping[str, MetricAccuracy]:
    """Score both models' predictions of the same labelled samples by ``task``; by metric name.

    Empty where the task has no metrics.

    Raises:
        DataError: the samples have no labels, or one the model cannot express.
        UsageError: the predictions are of different samples, or ``primary`` is no output.
    """
    if float_model.ids != quantized.ids:
        raise UsageError("accuracy needs predictions of the same samples in the same order")
    if float_model.labels is None:
        raise DataError(
            "these samples have no labels, so accuracy cannot be measured",
            hint="Set evaluate.labelled to false, or evaluate on labelled data.",
        )
    for predictions in (float_model, quantized):
        if primary not in predictions.outputs:
            known = ", ".join(f"'{name}'" for name in predictions.outputs)
            raise UsageError(f"no output is called '{primary}'; there is {known}")
    return task.score(float_model, quantized, primary)
