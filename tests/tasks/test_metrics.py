"""Values, masks, boxes and words: cases by hand, plain loops, properties, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.regression import cosine, mae, rmse
from edgekit.tasks.segmentation import mean_iou
from edgekit.tasks.task import Metric
from edgekit.tasks.transcription import edit_distance, wer
from edgekit.types import Array


def answered(output: Any, targets: Any) -> Predictions:
    output = np.asarray(output, np.float32)
    ids = tuple(f"s{place}" for place in range(len(output)))
    return Predictions({"y": output}, ids, None, np.asarray(targets))


def value(metric: Metric, output: Any, targets: Any) -> float:
    return metric.tally(answered(output, targets), "y").value()


def test_errors_by_hand() -> None:
    output, targets = [[1.0, 2.0], [3.0, 5.0]], [[1.0, 4.0], [0.0, 1.0]]
    assert value(mae(), output, targets) == pytest.approx((0 + 2 + 3 + 4) / 4)
    assert value(rmse(), output, targets) == pytest.approx(((0 + 4 + 9 + 16) / 4) ** 0.5)
    first = 9 / (5**0.5 * 17**0.5)
    assert value(cosine(), output, targets) == pytest.approx((first + 5 / 34**0.5) / 2)
    assert value(cosine(), [[0.0, 0.0]], [[1.0, 0.0]]) == 0


rows = hnp.arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=16))


@given(rows, rows)
def test_errors_are_bounded_and_none_where_all_is_right(output: Array, targets: Array) -> None:
    assert value(mae(), targets, targets) == value(rmse(), targets, targets) == 0
    assert 0 <= value(mae(), output, targets) <= value(rmse(), output, targets) + 1e-9
    if np.abs(targets).max(axis=1).min() > 0:
        assert -1 <= value(cosine(), output, targets) <= 1
        assert value(cosine(), targets, targets) == pytest.approx(1)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"output y is \[3\] per sample, its target \[2\]"):
        value(mae(), np.zeros((2, 3)), np.zeros((2, 2)))
    assert value(mae(), np.zeros((2, 3, 1)), np.zeros((2, 3))) == 0
    with pytest.raises(DataError, match="the target of s1 is all zeros"):
        value(cosine(), np.ones((2, 2)), [[1.0, 0], [0, 0]])


def test_no_targets_is_told_with_what_to_do() -> None:
    bare = Predictions({"y": np.zeros((2, 3), np.float32)}, ("a", "b"), np.array([0, 1]))
    for metric in (mae(), mean_iou(), wer()):
        with pytest.raises(DataError, match="needs a target for every sample") as caught:
            metric.tally(bare, "y")
        assert "'targets'" in str(caught.value.hint)


MASKS = np.array([[[0, 0], [1, 1]], [[0, 0], [0, 255]]])


def test_mean_iou_by_hand() -> None:
    """Class 0: 4 of 5 or 6 pixels in common; class 1: 1 of 2. The pixel 255 does not count."""
    named = np.array([[[0, 0], [0, 1]], [[0, 2], [0, 1]]])
    scores = np.eye(3)[named]
    wanted = (4 / 6 + 1 / 2) / 2
    for output in (scores, named, named[..., None]):
        assert value(mean_iou(255), output, MASKS) == pytest.approx(wanted)
    classes = mean_iou(255).tally(answered(scores, MASKS), "y").classes
    assert {name: each.value() for name, each in classes.items()} == {
        "0": pytest.approx(4 / 6),
        "1": 0.5,
    }


@given(
    hnp.arrays(np.int64, (3, 2, 4), elements=st.integers(0, 3)),
    hnp.arrays(np.int64, (3, 2, 4), elements=st.integers(0, 3)),
    st.permutations(range(3)),
)
def test_mean_iou_is_that_of_a_plain_count(named: Array, masks: Array, order: list[int]) -> None:
    found = value(mean_iou(), np.eye(4)[named], masks)
    shares = [
        ((named == one) & (masks == one)).sum() / ((named == one) | (masks == one)).sum()
        for one in np.unique(masks)
    ]
    assert found == pytest.approx(np.mean(shares))
    assert value(mean_iou(), np.eye(4)[named[order]], masks[order]) == pytest.approx(found)
    assert value(mean_iou(), np.eye(4)[masks], masks) == 1


def test_masks_that_do_not_fit_are_refused() -> None:
    scores = np.zeros((2, 2, 2, 3))
    with pytest.raises(DataError, match="the mask of s1 holds the class 255") as caught:
        value(mean_iou(), scores, MASKS)
    assert "evaluate.ignore_class: 255" in str(caught.value.hint)
    with pytest.raises(DataError, match=r"its mask int64 \[2, 3\]"):
        value(mean_iou(), scores, np.zeros((2, 2, 3), int))
    with pytest.raises(DataError, match="numbers that are no class indices"):
        value(mean_iou(), np.full((2, 2, 2), 0.5), np.zeros((2, 2, 2), int))


def test_word_errors_by_hand() -> None:
    """One of two words wrong, one missing of one; padding is nothing."""
    output = [[5, 6, -1], [-1, -1, -1]]
    targets = [[5, 7, -1], [8, -1, -1]]
    assert value(wer(), output, targets) == pytest.approx(2 / 3)
    spaced = [[1, 2, 0, 3, 0, 0, 4]]
    assert value(wer(word_separator=0), spaced, [[1, 2, 0, 3, 3, 0, 4]]) == pytest.approx(1 / 3)


def test_ctc_is_decoded_greedily() -> None:
    """Repetitions merge, unless a blank stands between them."""
    path = [1, 1, 0, 1, 2, 2, 0, 0]
    scores = np.eye(3)[[path]]
    assert value(wer(ctc_blank=0), scores, [[1, 1, 2]]) == 0
    assert value(wer(ctc_blank=0), scores[:, None], [[1, 1, 2]]) == 0
    assert value(wer(ctc_blank=2), scores, [[1, 0, 1, 0]]) == 0
    with pytest.raises(DataError, match=r"CTC takes scores \[T, classes\]"):
        value(wer(ctc_blank=3), scores, [[1]])
    with pytest.raises(DataError, match="holds no token ids") as caught:
        value(wer(), scores, [[1]])
    assert "evaluate.ctc_blank" in str(caught.value.hint)


def plain_distance(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    if not first or not second:
        return len(first) + len(second)
    return min(
        plain_distance(first[1:], second) + 1,
        plain_distance(first, second[1:]) + 1,
        plain_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


words = st.lists(st.integers(0, 2), max_size=5).map(tuple)


@given(words, words)
def test_the_distance_is_that_of_its_definition(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    assert edit_distance(first, second) == plain_distance(first, second)


def test_texts_that_are_no_token_ids_are_refused() -> None:
    with pytest.raises(DataError, match=r"are token ids \[N, length\], not float64 \[1, 2\]"):
        value(wer(), [[1, 2]], [[1.0, 2.0]])
    with pytest.raises(DataError, match="no target holds a word"):
        value(wer(), [[1, 2]], [[-1, -1]])
