"""Classification scored by hand, and against a plain sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError, UsageError
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.tasks import TASKS, task_named
from edgekit.tasks.classification import Classification
from edgekit.types import Array

classification = Classification()


def test_top1_and_top5_by_hand() -> None:
    scores = np.array([[9, 8, 7, 6, 5, 4, 3]] * 4, np.float32)
    hits = classification.correct(
        scores, np.array([0, 1, 4, 5]), ("a", "b", "c", "d"), name="scores"
    )
    assert hits["top1"].tolist() == [True, False, False, False]
    assert hits["top5"].tolist() == [True, True, True, False]


@given(
    hnp.arrays(np.float32, (6, 9), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    hnp.arrays(np.int64, 6, elements=st.integers(0, 8)),
)
def test_ties_rank_as_argmax_picks(scores: Array, labels: Array) -> None:
    hits = classification.correct(scores, labels, tuple("abcdef"), name="scores")
    assert hits["top1"].tolist() == (scores.argmax(axis=1) == labels).tolist()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    assert hits["top5"].tolist() == (best == labels[:, None]).any(axis=1).tolist()


def test_top5_of_five_classes_or_fewer_says_nothing_and_is_left_out() -> None:
    hits = classification.correct(
        np.eye(5, dtype=np.float32), np.arange(5), tuple("abcde"), name="scores"
    )
    assert list(hits) == ["top1"]
    assert hits["top1"].all()


def test_axes_of_size_one_are_dropped() -> None:
    scores = np.zeros((2, 1, 1, 7), np.float32)
    scores[:, 0, 0, 3] = 1
    hits = classification.correct(scores, np.array([3, 2]), ("a", "b"), name="scores")
    assert hits["top1"].tolist() == [True, False]


@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_out_of_range_names_sample_and_classes(label: int) -> None:
    said = f"sample b has label {label}, but output scores has 7 classes"
    with pytest.raises(DataError, match=said) as caught:
        classification.correct(
            np.zeros((2, 7), np.float32), np.array([3, label]), ("a", "b"), name="scores"
        )
    assert "the first in model.outputs is the primary" in (caught.value.hint or "")


def test_a_map_of_scores_is_no_list_of_classes() -> None:
    with pytest.raises(DataError, match=r"output scores, \[2, 2, 7\] per sample, is no"):
        classification.correct(
            np.zeros((1, 2, 2, 7), np.float32), np.array([0]), ("a",), name="scores"
        )


def test_tensors_score_nothing() -> None:
    tensors = task_named("tensors")
    answers = Predictions({"y": np.zeros((1, 7), np.float32)}, ("a",), np.array([0]))
    assert tensors.score(answers, answers, "y") == {}
    assert not tensors.classification


def test_the_registry_holds_what_recipes_may_name() -> None:
    import typing

    allowed = typing.get_type_hints(EvaluateSpec)["task"]
    assert set(TASKS) == set(typing.get_args(allowed))
    assert all(task.name == name for name, task in TASKS.items())
    with pytest.raises(UsageError, match="no task is called 'detection'; there is classification"):
        task_named("detection")
