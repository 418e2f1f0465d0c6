"""What outputs mean and how they are scored. A further task is one module and its rows here; its
metrics are named in ``recipe.metric_rules``."""

from __future__ import annotations

from edgekit.errors import UsageError
from edgekit.recipe.metric_rules import scored, top_k
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.tasks import classification, detection, regression, segmentation, transcription
from edgekit.tasks.own import own_metric
from edgekit.tasks.task import Metric, OutputTask
from edgekit.tasks.tensors import Tensors

TASKS: dict[str, OutputTask] = {
    task.name: task
    for task in (
        classification.Classification(),
        regression.Regression(),
        segmentation.Segmentation(),
        detection.Detection(),
        transcription.Transcription(),
        Tensors(),
    )
}


def task_named(name: str) -> OutputTask:
    """The task a recipe names.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TASKS:
        raise UsageError(f"no task is called '{name}'; there is {', '.join(TASKS)}")
    return TASKS[name]


def metrics_of(spec: EvaluateSpec, answers: Predictions, primary: str) -> list[Metric]:
    """What ``spec`` scores; of the metrics it does not name itself, those that ``answers`` allow:
    no top-5 of five classes.

    Raises:
        SourceError: the file of the user's own metric is not there.
    """
    names = scored(spec)
    if spec.metrics == () and spec.task == "classification":
        classes = classification.class_count(answers, primary)
        names = tuple(name for name in names if (top_k(name) or 0) < classes)
    found = [metric_named(name, spec) for name in names]
    if spec.metric is not None:
        higher = spec.metric_good == "higher"
        found.append(own_metric(spec.metric, higher_is_better=higher))
    return found


def metric_named(name: str, spec: EvaluateSpec) -> Metric:
    """The metric a recipe names, with the options of ``spec``.

    Raises:
        UsageError: there is none of that name.
    """
    k = top_k(name)
    if k is not None:
        return classification.top(k)
    match name:
        case "recall":
            return classification.recall()
        case "macro_f1":
            return classification.macro_f1()
        case "mae":
            return regression.mae()
        case "rmse":
            return regression.rmse()
        case "cosine":
            return regression.cosine()
        case "mean_iou":
            return segmentation.mean_iou(spec.ignore_class)
        case "map" | "map50":
            return detection.average_precision(
                box_format=spec.box_format,
                detections=spec.detections,
                half_overlap=name == "map50",
            )
        case "wer":
            return transcription.wer(spec.ctc_blank, spec.word_separator)
    raise UsageError(f"no metric is called '{name}'")
