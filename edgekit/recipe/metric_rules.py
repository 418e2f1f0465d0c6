"""What must hold between the keys of ``evaluate`` that say what is scored."""

from __future__ import annotations

import re

from edgekit.recipe.anchor import names_function
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import EvaluateSpec, Recipe
from edgekit.recipe.yaml_source import KeyPath

METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("top1", "top5", "recall", "macro_f1"),
    "regression": ("mae", "rmse", "cosine"),
    "segmentation": ("mean_iou",),
    "detection": ("map", "map50"),
    "transcription": ("wer",),
    "tensors": (),
}
"""The metrics of each task; of classification any ``top<k>``."""

DEFAULTS: dict[str, tuple[str, ...]] = {
    "classification": ("top1", "top5"),
    "regression": ("mae", "rmse"),
    "segmentation": ("mean_iou",),
    "detection": ("map", "map50"),
    "transcription": ("wer",),
    "tensors": (),
}
"""What is scored where ``evaluate.metrics`` does not say; top5 where there are more classes."""

_ONLY_FOR = {
    "ignore_class": "segmentation",
    "box_format": "detection",
    "detections": "detection",
    "ctc_blank": "transcription",
    "word_separator": "transcription",
}


def top_k(name: str) -> int | None:
    """``k`` of a metric called ``top<k>``."""
    found = re.fullmatch(r"top([1-9][0-9]{0,5})", name)
    return None if found is None else int(found[1])


def _metrics_of_the_task(recipe: Recipe) -> Findings:
    evaluate = recipe.evaluate
    for index, name in enumerate(evaluate.metrics):
        path: KeyPath = ("evaluate", "metrics", index)
        if name in evaluate.metrics[:index]:
            yield Finding(path, f"'{name}' is named twice")
        elif (unknown := unknown_metric(evaluate, path, name)) is not None:
            yield unknown


def _own_metric(recipe: Recipe) -> Findings:
    evaluate = recipe.evaluate
    path = ("evaluate", "metric")
    if evaluate.metric is None:
        if evaluate.metric_good is not None:
            message = "goes with 'metric', which is not given"
            yield Finding(("evaluate", "metric_good"), message)
        return
    if not names_function(evaluate.metric):
        hint = "e.g. my_metrics.py:score or my_package.metrics:score"
        yield Finding(path, "expected 'file.py:function' or 'package.module:function'", hint)
        return
    if evaluate.metric_good is None:
        hint = "write evaluate.metric_good: higher, or lower for an error"
        yield Finding(path, "does not say which way it is better", hint)
    name = own_name(evaluate.metric)
    if name in scored(evaluate):
        yield Finding(path, f"the task has a metric '{name}' already", "rename the function")


def _options_of_the_task(recipe: Recipe) -> Findings:
    evaluate = recipe.evaluate
    plain = EvaluateSpec(dataset="")
    for key, task in _ONLY_FOR.items():
        if getattr(evaluate, key) != getattr(plain, key) and evaluate.task != task:
            message = f"task '{evaluate.task}' has no use for it"
            yield Finding(("evaluate", key), message, f"remove it, or write task: {task}")


def _detections_name_outputs(recipe: Recipe) -> Findings:
    named = recipe.evaluate.detections
    path = ("evaluate", "detections")
    if named and len(named) != 3:
        yield Finding(path, "expected three outputs: boxes, classes, scores")
    for index, name in enumerate(named):
        if name not in recipe.model.outputs:
            hint = did_you_mean(name, recipe.model.outputs)
            yield Finding((*path, index), f"the model has no output '{name}'", hint)


def _scores_need_labels(recipe: Recipe) -> Findings:
    evaluate = recipe.evaluate
    for key in ("metrics", "metric"):
        if getattr(evaluate, key) and not evaluate.labelled:
            message = "nothing is scored without labels or targets"
            yield Finding(("evaluate", key), message, "set evaluate.labelled: true")


def unknown_metric(evaluate: EvaluateSpec, path: KeyPath, name: str) -> Finding | None:
    """What is wrong with ``name``, written at ``path``, if the task has no such metric."""
    known = METRICS[evaluate.task]
    if name in known or (evaluate.task == "classification" and top_k(name) is not None):
        return None
    others = [task for task, names in METRICS.items() if name in names]
    if others:
        hint: str | None = f"it belongs to task: {others[0]}"
    elif known:
        hint = did_you_mean(name, known)
    else:
        hint = "this task scores nothing of its own; see evaluate.metric"
    return Finding(path, f"task '{evaluate.task}' has no metric '{name}'", hint)


def scored(evaluate: EvaluateSpec) -> tuple[str, ...]:
    """The metrics that are scored, without one of the user's own."""
    return evaluate.metrics or DEFAULTS[evaluate.task]


def own_name(metric: str) -> str:
    """What the user's own metric is called in reports: the function's name."""
    return metric.rpartition(":")[2].rpartition(".")[2]


METRIC_RULES: tuple[Rule, ...] = (
    _metrics_of_the_task,
    _own_metric,
    _options_of_the_task,
    _detections_name_outputs,
    _scores_need_labels,
)
