"""Scores against labels, float beside quantized, with intervals that say what n allows to claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edgekit.errors import DataError, UsageError
from edgekit.measure.intervals import paired_difference, wilson
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.task import OutputTask

Rate: TypeAlias = float
"""A fraction of 1. (An alias, because a field below is called ``float`` as in report.json.)"""


@dataclass(frozen=True)
class MetricAccuracy:
    """One metric over ``n`` labelled samples.

    ``drop`` is float minus quantized, ``ci_*`` its 95 % paired interval (Tango's score interval);
    ``quantized_ci_*`` the 95 % interval of ``quantized`` alone (Wilson's).
    """

    float: Rate
    quantized: Rate
    drop: Rate
    n: int
    ci_low: Rate
    ci_high: Rate
    quantized_ci_low: Rate
    quantized_ci_high: Rate


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
    labels, ids = float_model.labels, float_model.ids
    before = task.correct(float_model.outputs[primary], labels, ids)
    after = task.correct(quantized.outputs[primary], labels, ids)
    measured = {}
    for metric, right in before.items():
        only_float = int((right & ~after[metric]).sum())
        only_quantized = int((after[metric] & ~right).sum())
        measured[metric] = _metric(
            int(right.sum()), int(after[metric].sum()), only_float, only_quantized, len(ids)
        )
    return measured


def _metric(
    float_right: int, quantized_right: int, only_float: int, only_quantized: int, n: int
) -> MetricAccuracy:
    of_drop = paired_difference(only_float, only_quantized, n)
    of_quantized = wilson(quantized_right, n)
    return MetricAccuracy(
        float=float_right / n,
        quantized=quantized_right / n,
        drop=(float_right - quantized_right) / n,
        n=n,
        ci_low=of_drop.low,
        ci_high=of_drop.high,
        quantized_ci_low=of_quantized.low,
        quantized_ci_high=of_quantized.high,
    )
