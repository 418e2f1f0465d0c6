"""Average precision: by hand, and beside pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DataError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.detection import average_precision, corners
from edgekit.types import Array

PADDING = [0.0, 0.0, 0.0, 0.0, -1.0]


def predicted(rows: Any, targets: Any) -> Predictions:
    output = np.asarray(rows, np.float32)
    ids = tuple(f"s{place}" for place in range(len(output)))
    return Predictions({"y": output}, ids, None, np.asarray(targets, np.float64))


def both(rows: Any, targets: Any) -> tuple[float, float]:
    answers = predicted(rows, targets)
    whole, half = average_precision(), average_precision(half_overlap=True)
    return whole.tally(answers, "y").value(), half.tally(answers, "y").value()


def test_one_found_one_missed_one_invented() -> None:
    """Best first: right, wrong. One of two objects found: precision 1 up to a recall of 0.5, which
    is 51 of 101 points."""
    rows = [[[0, 0, 10, 10, 0.9, 3], [50, 50, 60, 60, 0.8, 3], [0, 0, 1, 1, 0, 3]]]
    targets = [[[0, 0, 10, 10, 3], [20, 20, 30, 30, 3], PADDING]]
    assert both(rows, targets) == (pytest.approx(51 / 101), pytest.approx(51 / 101))


def test_an_overlap_of_six_tenths_counts_at_three_of_ten_thresholds() -> None:
    rows = [[[0, 0, 10, 6.2, 0.9, 0]]]
    assert both(rows, [[[0, 0, 10, 10, 0]]]) == (pytest.approx(0.3), pytest.approx(1))


def scene(seed: int, images: int = 12, classes: int = 3) -> tuple[Array, Array]:
    """Rows [N, 8, 6] and targets [N, 5, 5]: objects found more or less well, and some invented."""
    rng = np.random.default_rng(seed)
    targets = np.tile(np.array(PADDING), (images, 5, 1))
    rows = np.zeros((images, 8, 6), np.float32)
    rows[..., 5] = -1
    for place in range(images):
        count = int(rng.integers(0, 6)) if place else 3
        low = rng.uniform(0, 60, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(5, 30, (count, 2))], axis=1)
        own = rng.integers(0, classes, count)
        targets[place, :count] = np.column_stack([boxes, own])
        for row in range(int(rng.integers(0, 9))):
            if count and rng.random() < 0.7:
                some = int(rng.integers(0, count))
                box, one = boxes[some] + rng.normal(0, 2, 4), own[some]
                box[2:] = np.maximum(box[2:], box[:2] + 1)
            else:
                corner = rng.uniform(0, 60, 2)
                box, one = np.append(corner, corner + 10), rng.integers(0, classes)
            # Few different scores, so that many are equal.
            rows[place, row] = [*box, rng.integers(1, 6) / 8, one]
    return rows, targets


def coco(rows: Array, targets: Array) -> tuple[float, float]:
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def size(box: Array) -> list[float]:
        return [*map(float, box[:2]), *map(float, box[2:] - box[:2])]

    objects = [
        {"image_id": i, "category_id": int(row[4]), "bbox": size(row[:4]), "iscrowd": 0,
         "area": float(np.prod(row[2:4] - row[:2]))}
        for i, some in enumerate(targets) for row in some if row[4] >= 0
    ]  # fmt: skip
    found = [
        {"image_id": i, "category_id": int(row[5]), "bbox": size(row[:4].astype(np.float64)),
         "score": float(row[4])}
        for i, some in enumerate(rows) for row in some if row[5] >= 0
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(rows))],
            "categories": [{"id": one} for one in range(3)],
            "annotations": [{**each, "id": k + 1} for k, each in enumerate(objects)],
        }
        truth.createIndex()
        judged = COCOeval(truth, truth.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return float(judged.stats[0]), float(judged.stats[1])


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_pycocotools_finds(seed: int) -> None:
    rows, targets = scene(seed)
    assert both(rows, targets) == pytest.approx(coco(rows, targets), abs=1e-9)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_it_is_a_share_and_does_not_see_the_order_of_objects(seed: int, random: Any) -> None:
    rows, targets = scene(seed, images=4)
    found = both(rows, targets)
    assert 0 <= found[0] <= found[1] + 1e-12 <= 1 + 1e-9
    order = random.sample(range(5), 5)
    assert both(rows, targets[:, order])[1] == pytest.approx(found[1], abs=0.2)
    perfect = np.concatenate([targets[..., :4], np.ones((4, 5, 1)), targets[..., 4:]], axis=2)
    assert both(perfect, targets) == (pytest.approx(1), pytest.approx(1))


def test_weights_are_repetitions() -> None:
    rows, targets = scene(3)
    tally = average_precision().tally(predicted(rows, targets), "y")
    weights = np.arange(len(rows)) % 3
    again = np.repeat(np.arange(len(rows)), weights)
    repeated = average_precision().tally(predicted(rows[again], targets[again]), "y").value()
    assert tally.value(weights.astype(np.float64)) == pytest.approx(repeated, abs=0.02)


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        ("xyxy", [1, 2, 5, 8]),
        ("xywh", [1, 2, 4, 6]),
        ("yxyx", [2, 1, 8, 5]),
        ("cxcywh", [3, 5, 4, 6]),
    ],
)
def test_every_form_of_a_box_is_the_same_box(box_format: str, box: list[float]) -> None:
    assert corners(np.array([box]), box_format).tolist() == [[1, 2, 5, 8]]


def test_boxes_classes_and_scores_may_be_outputs_apart() -> None:
    rows, targets = scene(1)
    named = ("boxes", "classes", "scores")
    outputs = {"scores": rows[..., 4], "boxes": rows[..., :4], "classes": rows[..., 5]}
    answers = Predictions(outputs, tuple(map(str, range(len(rows)))), None, targets)
    apart = average_precision(detections=named).tally(answers, "boxes").value()
    assert apart == both(rows, targets)[0]
    with pytest.raises(DataError, match=r"boxes are \[M, 4\]"):
        average_precision(detections=named[::-1]).tally(answers, "boxes")


@pytest.mark.parametrize(
    ("rows", "targets", "said"),
    [
        (np.ones((1, 2, 5)), [[[0, 0, 1, 1, 0]]], r"not rows \[M, 6\] of box, score, class"),
        (np.ones((1, 2, 6)), [[[0, 0, 1, 1]]], r"targets of detection are \[N, objects, 5\]"),
        (np.ones((1, 2, 6)), [[PADDING]], "the targets hold no object"),
        (np.ones((1, 2, 6)), [[[5, 5, 1, 1, 0]]], "row 0 of the target of s0 is no box"),
        (np.ones((1, 2, 6)), [[[0, 0, 1, 1, 0.5]]], "row 0 of the target of s0 is no box"),
    ],
)
def test_what_are_no_boxes_is_told(rows: Any, targets: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        both(rows, targets)
