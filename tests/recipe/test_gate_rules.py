"""Limits that cannot be held, and where the mistake is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import RecipeError
from edgekit.recipe.dump import recipe_to_yaml
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

DATA = Path(__file__).parent / "data"


def loaded(tmp_path: Path, gate: str, more: str = "") -> Recipe:
    """The valid recipe with other limits; ``gate`` is on line 2 of the file."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {DATA / 'valid.yaml'}\ngate: {gate}\n{more}")
    return load_recipe(str(file))


def problems(tmp_path: Path, gate: str, more: str = "") -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, gate, more)
    found = []
    for problem in caught.value.problems:
        assert problem.where is not None
        assert problem.where.file.endswith("mine.yaml")
        assert problem.where.line == 2
        found.append(f"{problem.where.key}: {problem.message}; {problem.hint}")
    return found


@pytest.mark.parametrize(
    ("gate", "more", "said"),
    [
        ("{agreement_min: 1.1}", "", "gate.agreement_min: must be at most 1"),
        ("{size_bytes_max: -1}", "", "gate.size_bytes_max: must be at least 1"),
        ("{float_ops_max: -1}", "", "gate.float_ops_max: must be at least 0"),
        ("{transposes_max: 0.5}", "", "gate.transposes_max: expected a whole number"),
        ("{latency_ms_max: 0}", "", "gate.latency_ms_max: must be above 0"),
        ("{confidence: 0.4}", "", "gate.confidence: must be at least 0.5"),
        ("{confidence: 1}", "", "gate.confidence: must be at most 0.99"),
        ("{confidence: 95}", "", "gate.confidence: must be at most 0.99"),
        ("{drop_max: 0.01}", "", "gate.drop_max: expected a mapping of names to numbers"),
        ("{drop_max: {top1: much}}", "", "gate.drop_max.top1: expected a number"),
        ("{drop_max: {top1: -0.1}}", "", "gate.drop_max.top1: must be at least 0"),
        ("{drop_max: {top1: 1}}", "", "gate.drop_max.top1: top1 cannot lose more than 1"),
        ("{relative_drop_max: {top5: 5}}", "", "gate.relative_drop_max.top5: top5 cannot lose"),
        ("{top1_drop_max: 1}", "", "gate.top1_drop_max: no share can lose more than 1"),
        ("{drop_max: {recal: 0.1}}", "", "has no metric 'recal'; did you mean 'recall'"),
        ("{drop_max: {mae: 0.1}}", "", "gate.drop_max.mae: task 'classification' has no metric"),
        ("{relative_drop_max: {wer: 0.1}}", "", "it belongs to task: transcription"),
        ("{drop_max: {recall: 0.1}}", "", "gate.drop_max.recall: evaluate.metrics does not name"),
        ("{top1_drop_max: 0.1}", "evaluate: {metrics: [recall]}", "add top1 to evaluate.metrics"),
        ("{class_recall_drop_max: 0.1}", "", "add recall to evaluate.metrics"),
        (
            "{class_recall_drop_max: 0.1, agreement_min: null}",
            "evaluate: {task: segmentation}",
            "gate.class_recall_drop_max: task 'segmentation' has no classes",
        ),
        ("{drop_max: {top1: 0.1}}", "evaluate: {labelled: false}", "measured without labels"),
        ("{top1_drop_max: 0.1, drop_max: {top1: 0.2}}", "", "allows top1 0.2, not 0.1"),
        ("{full_integer: false, float_ops_max: 0}", "", "gate.full_integer: allows float"),
        (
            "{float_ops_max: 0}",
            "quantize: {allow_float_ops: [PRELU]}",
            "gate.float_ops_max: refuses what quantize.allow_float_ops allows: PRELU",
        ),
        (
            "{float_ops_max: 0}",
            "quantize: {modules: [{name: head, method: float}]}",
            "gate.float_ops_max: refuses what quantize.modules leaves float",
        ),
        (
            "{baseline_drop_max: 0.01}",
            "evaluate: {metrics: [recall]}",
            "gate.baseline_drop_max: is about shares of right answers, and none is scored",
        ),
        ("{latency_ms_max: 5, speedup_min: null}", "latency: {enabled: false}", "not measured"),
    ],
)
def test_what_is_refused(tmp_path: Path, gate: str, more: str, said: str) -> None:
    found = problems(tmp_path, gate, more)
    assert len(found) == 1
    assert said in found[0]


def test_what_is_taken_is_read_back_equal(tmp_path: Path) -> None:
    gate = (
        "{confidence: 0.99, top1_drop_max: 0.01, drop_max: {recall: 0.02, top5: null}, "
        "relative_drop_max: {top1: 0.02}, class_recall_drop_max: 0.1, latency_ms_max: 3, "
        "float_ops_max: 2, transposes_max: 0}"
    )
    recipe = loaded(tmp_path, gate, "evaluate: {metrics: [top1, recall]}")
    assert recipe.gate.drop_limits == {"top1": 0.01, "recall": 0.02}
    assert recipe.gate.relative_drop_max == {"top1": 0.02}
    assert recipe.gate.confidence == 0.99
    again = tmp_path / "again.yaml"
    again.write_text(recipe_to_yaml(recipe))
    assert load_recipe(str(again)) == recipe


def test_a_metric_of_ones_own_can_have_a_limit(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score(outputs, targets): ...\n")
    own = "evaluate: {metric: 'mine.py:score', metric_good: higher}"
    recipe = loaded(tmp_path, "{drop_max: {score: 5}, relative_drop_max: {score: 0.1}}", own)
    assert recipe.gate.drop_limits == {"score": 5.0}


def test_an_emulated_core_has_no_milliseconds(tmp_path: Path) -> None:
    phone = "latency: {devices: [{device: qemu-aarch64, latency_ms_max: 5}]}"
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, "{}", phone)
    (problem,) = caught.value.problems
    assert problem.where is not None
    assert problem.where.key == "latency.devices[0].latency_ms_max"
    assert problem.message.startswith("qemu-aarch64 compares answers only")
