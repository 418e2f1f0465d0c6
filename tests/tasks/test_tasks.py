"""Classification scored by hand, and against a plain sort."""

from __future__ import annotations

import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError, UsageError
from edgekit.recipe.metric_rules import DEFAULTS, METRICS
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.tasks import TASKS, metric_named, metrics_of, task_named
from edgekit.tasks.classification import macro_f1, ranks, recall, top
from edgekit.types import Array


def predicted(scores: Array, labels: list[int] | Array) -> Predictions:
    ids = tuple("abcdefghijklmnopqrstuvwxyz"[: len(scores)])
    return Predictions({"scores": np.asarray(scores, np.float32)}, ids, np.array(labels, np.int64))


def right(k: int, predictions: Predictions) -> list[bool]:
    found = top(k).tally(predictions, "scores").contributions
    assert found is not None
    return (found == 1).tolist()


def test_top1_and_top5_by_hand() -> None:
    answers = predicted(np.array([[9, 8, 7, 6, 5, 4, 3]] * 4), [0, 1, 4, 5])
    assert right(1, answers) == [True, False, False, False]
    assert right(5, answers) == [True, True, True, False]


@given(
    hnp.arrays(np.float32, (6, 9), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    st.lists(st.integers(0, 8), min_size=6, max_size=6).filter(lambda some: len(set(some)) > 1),
    st.integers(1, 8),
)
def test_ties_rank_as_argmax_picks(scores: Array, labels: list[int], k: int) -> None:
    answers = predicted(scores, labels)
    assert right(1, answers) == (scores.argmax(axis=1) == labels).tolist()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert right(k, answers) == (best == np.array(labels)[:, None]).any(axis=1).tolist()


def test_top5_of_five_classes_or_fewer_says_nothing_and_is_left_out() -> None:
    answers = predicted(np.eye(5), np.arange(5))
    spec = EvaluateSpec(dataset="d")
    assert [metric.name for metric in metrics_of(spec, answers, "scores")] == ["top1"]
    with pytest.raises(DataError, match="top5 is always right: output scores has 5 classes"):
        top(5).tally(answers, "scores")


def test_axes_of_size_one_are_dropped() -> None:
    scores = np.zeros((2, 1, 1, 7))
    scores[:, 0, 0, 3] = 1
    assert right(1, predicted(scores, [3, 2])) == [True, False]


@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_out_of_range_names_sample_and_classes(label: int) -> None:
    said = f"sample b has label {label}, but output scores has 7 classes"
    with pytest.raises(DataError, match=said) as caught:
        ranks(predicted(np.zeros((2, 7)), [3, label]), "scores")
    assert "the first in model.outputs is the primary" in (caught.value.hint or "")


@pytest.mark.parametrize("shape", [(2, 2, 7), (1,), ()])
def test_what_is_no_list_of_classes_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"output scores, \[.*\] per sample, is no list of classes"):
        ranks(predicted(np.zeros((1, *shape)), [0]), "scores")


def test_labels_of_one_class_only_prove_nothing() -> None:
    with pytest.raises(DataError, match="all 3 samples have the label 2"):
        ranks(predicted(np.zeros((3, 7)), [2, 2, 2]), "scores")


def choosing(classes: list[int], labels: list[int], of: int = 3) -> Predictions:
    return predicted(np.eye(of)[classes], labels)


def test_recall_and_f1_by_hand() -> None:
    """Class 0: 2 of 3 found, named 3 times. Class 1: 1 of 2, named twice. Class 2: no sample."""
    answers = choosing([0, 0, 1, 1, 0], [0, 0, 0, 1, 1])
    assert recall().tally(answers, "scores").value() == pytest.approx((2 / 3 + 1 / 2) / 2)
    f1 = (2 * 2 / (3 + 3) + 2 * 1 / (2 + 2)) / 2
    assert macro_f1().tally(answers, "scores").value() == pytest.approx(f1)
    own = {name: each.value() for name, each in recall().tally(answers, "scores").classes.items()}
    assert own == {"0": pytest.approx(2 / 3), "1": pytest.approx(1 / 2)}


@given(st.data())
def test_recall_and_f1_are_shares_and_do_not_see_the_order(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 12))
    some = st.lists(st.integers(0, 2), min_size=n, max_size=n)
    chosen, labels = data.draw(some), data.draw(some.filter(lambda each: len(set(each)) > 1))
    order = data.draw(st.permutations(range(n)))
    for metric in (recall(), macro_f1()):
        value = metric.tally(choosing(chosen, labels), "scores").value()
        mixed = choosing([chosen[i] for i in order], [labels[i] for i in order])
        assert metric.tally(mixed, "scores").value() == pytest.approx(value)
        assert 0 <= value <= 1
        assert metric.tally(choosing(labels, labels), "scores").value() == 1
        again = choosing([*chosen, *chosen], [*labels, *labels])
        twice = metric.tally(choosing(chosen, labels), "scores").value(np.full(n, 2.0))
        assert twice == pytest.approx(metric.tally(again, "scores").value())


def test_tensors_score_nothing() -> None:
    spec = EvaluateSpec(dataset="d", task="tensors")
    assert metrics_of(spec, predicted(np.zeros((1, 7)), [0]), "scores") == []
    assert not task_named("tensors").classification


def test_the_registry_holds_what_recipes_may_name() -> None:
    allowed = typing.get_args(typing.get_type_hints(EvaluateSpec)["task"])
    assert set(TASKS) == set(METRICS) == set(DEFAULTS) == set(allowed)
    assert all(task.name == name for name, task in TASKS.items())
    with pytest.raises(UsageError, match="no task is called 'poetry'; there is classification"):
        task_named("poetry")
    for task, names in METRICS.items():
        assert set(DEFAULTS[task]) <= set(names)
        spec = EvaluateSpec(dataset="d", task=task)  # type: ignore[arg-type]
        assert [metric_named(name, spec).name for name in names] == list(names)
    with pytest.raises(UsageError, match="no metric is called 'bleu'"):
        metric_named("bleu", EvaluateSpec(dataset="d"))
