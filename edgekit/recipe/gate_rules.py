"""What must hold between the limits of ``gate`` and what is measured.

A limit that nothing measures, that contradicts another or that nothing could break is a mistake.
"""

from __future__ import annotations

from edgekit.recipe.metric_rules import own_name, scored, top_k, unknown_metric
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import EvaluateSpec, Recipe

_SHARES = ("recall", "macro_f1", "mean_iou", "map", "map50")
"""Metrics, beside ``top<k>``, between 0 and 1."""


def _limits_have_classes(recipe: Recipe) -> Findings:
    gate, task = recipe.gate, recipe.evaluate.task
    for name in ("agreement_min", "top1_drop_max", "class_recall_drop_max"):
        if getattr(gate, name) is not None and task != "classification":
            message = f"task '{task}' has no classes to measure this on"
            yield Finding(("gate", name), message, "use sqnr_db_min, or task: classification")


def _drops_are_of_what_is_scored(recipe: Recipe) -> Findings:
    gate, evaluate = recipe.gate, recipe.evaluate
    if not evaluate.labelled:
        hint = "set evaluate.labelled: true"
        for name in ("top1_drop_max", "drop_max", "relative_drop_max", "class_recall_drop_max"):
            if getattr(gate, name) not in (None, {}):
                yield Finding(("gate", name), "no metric is measured without labels", hint)
        return
    if evaluate.task == "classification":
        for key, metric in (("top1_drop_max", "top1"), ("class_recall_drop_max", "recall")):
            if getattr(gate, key) is not None:
                yield from _scored(evaluate, ("gate", key), metric)
    own = None if evaluate.metric is None else own_name(evaluate.metric)
    for key in ("drop_max", "relative_drop_max"):
        for metric in getattr(gate, key):
            path = ("gate", key, metric)
            unknown = None if metric == own else unknown_metric(evaluate, path, metric)
            if unknown is not None:
                yield unknown
            elif metric != own:
                yield from _scored(evaluate, path, metric)


def _scored(evaluate: EvaluateSpec, path: tuple[str, ...], metric: str) -> Findings:
    if metric not in scored(evaluate):
        message = f"evaluate.metrics does not name {metric}"
        yield Finding(path, message, f"add {metric} to evaluate.metrics")


def _limits_can_be_broken(recipe: Recipe) -> Findings:
    for key in ("drop_max", "relative_drop_max"):
        for metric, limit in getattr(recipe.gate, key).items():
            if limit >= 1 and (metric in _SHARES or top_k(metric) is not None):
                message = f"{metric} cannot lose more than 1, so nothing would break this limit"
                yield Finding(("gate", key, metric), message, "1 point is 0.01")
    for key in ("top1_drop_max", "class_recall_drop_max", "baseline_drop_max"):
        if getattr(recipe.gate, key) == 1:
            message = "no share can lose more than 1, so nothing would break this limit"
            yield Finding(("gate", key), message, "1 point is 0.01")


def _limits_agree(recipe: Recipe) -> Findings:
    short, top1 = recipe.gate.top1_drop_max, recipe.gate.drop_max.get("top1")
    if short is not None and top1 is not None and short != top1:
        message = f"contradicts gate.drop_max, which allows top1 {top1:g}, not {short:g}"
        yield Finding(("gate", "top1_drop_max"), message, "write one of them")
    if recipe.gate.full_integer is False and recipe.gate.float_ops_max == 0:
        message = "allows float operators, and gate.float_ops_max: 0 refuses all"
        yield Finding(("gate", "full_integer"), message, "write one of them")
    if recipe.gate.float_ops_max == 0:
        allowed = recipe.quantize.allow_float_ops
        if allowed:
            message = f"refuses what quantize.allow_float_ops allows: {', '.join(allowed)}"
            yield Finding(("gate", "float_ops_max"), message, "write one of them")
        if any(rule.method == "float" for rule in recipe.quantize.modules):
            message = "refuses what quantize.modules leaves float"
            yield Finding(("gate", "float_ops_max"), message, "write one of them")


def _times_are_taken(recipe: Recipe) -> Findings:
    for name in ("speedup_min", "latency_ms_max"):
        if getattr(recipe.gate, name) is not None and not recipe.latency.enabled:
            hint = "set latency.enabled: true"
            yield Finding(("gate", name), "latency is not measured", hint)


def _baselines_have_right_answers(recipe: Recipe) -> Findings:
    evaluate, path = recipe.evaluate, ("gate", "baseline_drop_max")
    if recipe.gate.baseline_drop_max is None:
        return
    tops = [name for name in scored(evaluate) if top_k(name) is not None]
    if evaluate.task != "classification" or not evaluate.labelled or not tops:
        message = "is about shares of right answers, and none is scored"
        yield Finding(path, message, "score top1 of labelled samples, or remove it")


GATE_RULES: tuple[Rule, ...] = (
    _limits_have_classes,
    _drops_are_of_what_is_scored,
    _limits_can_be_broken,
    _limits_agree,
    _times_are_taken,
    _baselines_have_right_answers,
)
