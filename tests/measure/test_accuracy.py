"""Accuracy of two models on the same labelled samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from edgekit.errors import DataError, UsageError
from edgekit.measure.accuracy import clusters_of, measure_accuracy
from edgekit.numerics.intervals import paired_difference, wilson
from edgekit.recipe.schema import EvaluateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array, Sample

N, CLASSES = 20, 10
LABELS = np.arange(N) % CLASSES
CLASSES_OF = EvaluateSpec(dataset="d")
IDS = tuple(f"s{i}" for i in range(N))


def choosing(classes: Array, labels: Array | None = LABELS) -> Predictions:
    scores = np.zeros((N, CLASSES), np.float32)
    scores[np.arange(N), classes] = 1
    return Predictions({"scores": scores}, IDS, labels)


def wrong_on(*samples: int) -> Predictions:
    classes = LABELS.copy()
    classes[list(samples)] = (classes[list(samples)] + 1) % CLASSES
    return choosing(classes)


def test_every_figure_of_a_metric() -> None:
    found = measure_accuracy(CLASSES_OF, wrong_on(0, 1), wrong_on(1, 2, 3, 4), primary="scores")
    top1 = found["top1"]
    assert (top1.float, top1.quantized, top1.n) == (0.9, 0.8, N)
    assert top1.drop == pytest.approx(0.1)
    of_drop, of_quantized = paired_difference(3, 1, N), wilson(16, N)
    assert (top1.ci_low, top1.ci_high) == (of_drop.low, of_drop.high)
    assert (top1.quantized_ci_low, top1.quantized_ci_high) == (of_quantized.low, of_quantized.high)
    assert top1.ci_low < 0 < top1.drop < top1.ci_high
    assert set(found) == {"top1", "top5"}
    assert list(top1.to_dict()) == [
        "float", "quantized", "drop", "n",
        "ci_low", "ci_high", "quantized_ci_low", "quantized_ci_high",
        "higher_is_better", "low", "high", "interval",
    ]  # fmt: skip
    assert top1.at(0.95) == top1
    wide = top1.at(0.99)
    assert wide.ci_low < of_drop.low < of_drop.high < wide.ci_high
    assert wide.quantized_ci_low < of_quantized.low < of_quantized.high < wide.quantized_ci_high


def test_a_gain_is_a_negative_drop() -> None:
    found = measure_accuracy(CLASSES_OF, wrong_on(0, 1, 2), wrong_on(2), primary="scores")
    assert found["top1"].drop == pytest.approx(-0.1)


def test_pairs_matter_not_only_totals() -> None:
    """Equal accuracy: sure when the same samples fail, unsure when different ones do."""
    task = CLASSES_OF
    same = measure_accuracy(task, wrong_on(0, 1, 2), wrong_on(0, 1, 2), primary="scores")["top1"]
    other = measure_accuracy(task, wrong_on(0, 1, 2), wrong_on(3, 4, 5), primary="scores")["top1"]
    assert same.drop == other.drop == 0
    assert other.ci_high > 1.5 * same.ci_high


def test_tensors_have_no_accuracy() -> None:
    assert (
        measure_accuracy(
            EvaluateSpec(dataset="d", task="tensors"), wrong_on(), wrong_on(), primary="scores"
        )
        == {}
    )


def test_what_cannot_be_scored_says_why() -> None:
    task = CLASSES_OF
    unlabelled = choosing(LABELS, labels=None)
    with pytest.raises(DataError, match="no labels"):
        measure_accuracy(task, unlabelled, unlabelled, primary="scores")
    with pytest.raises(UsageError, match="no output is called 'logits'; there is 'scores'"):
        measure_accuracy(task, wrong_on(), wrong_on(), primary="logits")
    shuffled = dataclasses.replace(wrong_on(), ids=IDS[::-1])
    with pytest.raises(UsageError, match="same samples"):
        measure_accuracy(task, wrong_on(), shuffled, primary="scores")
    shifted = choosing(LABELS, labels=LABELS + 10)
    with pytest.raises(DataError, match="sample s0 has label 10"):
        measure_accuracy(task, shifted, shifted, primary="scores")


class Recordings:
    """Two windows of each of ten recordings, or as many recordings as windows."""

    def __init__(self, windows: int) -> None:
        self.samples = [Sample(name, f"r{i // windows}", {}) for i, name in enumerate(IDS)]
        self.images = {sample.image_id: "sha" for sample in self.samples}

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def test_windows_of_one_recording_are_told_from_samples_of_their_own() -> None:
    whole = wrong_on(0)
    some = dataclasses.replace(whole, ids=IDS[1:])  # the first could not be read
    found = clusters_of(Recordings(2), some)  # type: ignore[arg-type]
    assert found is not None
    assert found[0] != found[1] == found[2] != found[3]
    assert found.max() == 9
    assert clusters_of(Recordings(1), whole) is None  # type: ignore[arg-type]


def test_windows_that_answer_alike_prove_less() -> None:
    labels = np.repeat(np.arange(10), 2)
    answers = dataclasses.replace(choosing(labels), labels=labels)
    alone, windows = (
        measure_accuracy(CLASSES_OF, answers, answers, primary="scores", clusters=clusters)["top1"]
        for clusters in (None, np.repeat(np.arange(10), 2))
    )
    assert windows.ci_high == pytest.approx(paired_difference(0, 0, 10).high)
    assert windows.ci_high > 1.5 * alone.ci_high
