"""What evaluate may ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.load import load_recipe
from edgekit.recipe.metric_rules import METRIC_RULES
from edgekit.recipe.schema import EvaluateSpec

DATA = Path(__file__).parent / "data"


def messages(**keys: Any) -> list[str]:
    recipe = load_recipe(str(DATA / "valid.yaml"))
    evaluate = EvaluateSpec(dataset=recipe.evaluate.dataset, **keys)
    recipe = replace(recipe, evaluate=evaluate, gate=GateSpec())
    return [
        f"{'.'.join(map(str, finding.path))}: {finding.message}; {finding.hint}"
        for rule in METRIC_RULES
        for finding in rule(recipe)
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"metrics": ("top1", "recal")}, "evaluate.metrics.1: task 'classification' has no metric"),
        ({"metrics": ("recal",)}, "did you mean 'recall'"),
        ({"metrics": ("mae",)}, "it belongs to task: regression"),
        ({"metrics": ("top0",)}, "has no metric 'top0'"),
        ({"metrics": ("top1", "top1")}, "'top1' is named twice"),
        ({"task": "tensors", "metrics": ("top1",)}, "it belongs to task: classification"),
        ({"metric": "mine.py:score"}, "evaluate.metric_good: higher, or lower for an error"),
        ({"metric": "mine.py", "metric_good": "lower"}, "expected 'file.py:function'"),
        ({"metric": "mine.py:top1", "metric_good": "lower"}, "has a metric 'top1' already"),
        ({"metric_good": "lower"}, "goes with 'metric', which is not given"),
        ({"ctc_blank": 0}, "remove it, or write task: transcription"),
        ({"task": "detection", "ignore_class": 255}, "task: segmentation"),
        ({"task": "detection", "detections": ("a", "b")}, "expected three outputs"),
        ({"task": "detection", "detections": ("a", "b", "c")}, "the model has no output 'a'"),
        ({"metrics": ("recall",), "labelled": False}, "nothing is scored without labels"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], said: str) -> None:
    assert any(said in message for message in messages(**keys)), messages(**keys)


def test_any_k_and_the_metrics_of_a_task_are_taken() -> None:
    assert messages(metrics=("top1", "top3", "top17", "recall", "macro_f1")) == []
    assert messages(task="regression", metrics=("cosine",), labelled=True) == []
    assert messages(task="tensors", metric="a.b:score", metric_good="higher") == []
    assert messages(task="transcription", ctc_blank=0, word_separator=1) == []
