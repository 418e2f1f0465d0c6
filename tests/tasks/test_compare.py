"""Figures of two models under one metric, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.numerics.intervals import paired_difference
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.classification import macro_f1, recall, top
from edgekit.tasks.compare import compare
from edgekit.tasks.regression import mae, rmse
from edgekit.tasks.transcription import wer
from edgekit.types import Array


def values(output: Array, targets: Array) -> Predictions:
    ids = tuple(map(str, range(len(output))))
    return Predictions({"y": output.astype(np.float32)}, ids, None, targets)


def choosing(classes: Array, labels: Array) -> Predictions:
    ids = tuple(map(str, range(len(classes))))
    return Predictions({"y": np.eye(4, dtype=np.float32)[classes]}, ids, labels)


def test_the_drop_of_an_error_is_how_much_it_grew() -> None:
    targets = np.zeros((50, 1))
    rng = np.random.default_rng(0)
    before, after = (rng.normal(0, scale, (50, 1)) for scale in (1.0, 2.0))
    for metric in (mae(), rmse()):
        found = compare(metric, values(before, targets), values(after, targets), "y")
        assert found.drop == pytest.approx(found.quantized - found.float)
        assert found.drop > 0
        assert found.ci_low < found.drop < found.ci_high
        assert found.quantized_ci_low < found.quantized < found.quantized_ci_high
        assert not found.higher_is_better
        better = compare(metric, values(after, targets), values(before, targets), "y")
        assert better.drop == pytest.approx(-found.drop)
        assert better.ci_high == pytest.approx(-found.ci_low, rel=0.2)


def test_intervals_of_means_are_students() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    before, after = rng.normal(0, 1, (2, 8, 1)).astype(np.float32)
    zeros = np.zeros((8, 1))
    found = compare(mae(), values(before, zeros), values(after, zeros), "y")
    lost = (np.abs(after) - np.abs(before))[:, 0].astype(np.float64)
    wanted = stats.t.interval(0.9, 7, lost.mean(), stats.sem(lost))
    assert found.interval == "t"
    other = found.at(0.9)
    assert (other.ci_low, other.ci_high) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", [recall(), macro_f1()])
def test_agreement_of_few_samples_proves_little(metric: object) -> None:
    """Two models that answer alike on 20 samples may differ on one of the next 20."""
    labels = np.arange(20) % 4
    answers = choosing(labels, labels)
    found = compare(metric, answers, answers, "y")  # type: ignore[arg-type]
    assert found.drop == 0
    assert found.interval == "bootstrap"
    assert found.ci_low < -0.1 < 0.1 < found.ci_high
    many = choosing(np.arange(20_000) % 4, np.arange(20_000) % 4)
    assert compare(metric, many, many, "y").ci_high < 0.001  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", [mae(), rmse(), wer()])
def test_so_does_agreement_in_figures_without_bounds(metric: object) -> None:
    answers = values(np.array([[1, 2], [3, 4], [5, 6]]), np.array([[1, 1], [3, 3], [5, 9]]))
    found = compare(metric, answers, answers, "y")  # type: ignore[arg-type]
    assert found.drop == 0
    assert found.ci_low < -0.05 < 0.05 < found.ci_high


def test_one_rare_class_makes_recall_unsure() -> None:
    labels = np.array([0] * 990 + [1] * 10)
    answers = choosing(labels, labels)
    found = compare(recall(), answers, answers, "y")
    assert found.ci_high > 0.1
    assert {name: each.n for name, each in found.classes.items()} == {"0": 990, "1": 10}
    assert found.classes["1"].interval == "tango"
    assert found.classes["1"].ci_high > found.classes["0"].ci_high
    assert found.to_dict()["classes"]["1"]["n"] == 10


@pytest.mark.parametrize("metric", [mae(), rmse()])
def test_one_sample_says_nothing(metric: object) -> None:
    one = values(np.ones((1, 2)), np.zeros((1, 2)))
    with pytest.raises(DataError, match="of one sample says nothing"):
        compare(metric, one, one, "y")  # type: ignore[arg-type]


def test_nor_do_the_windows_of_one_recording() -> None:
    windows = values(np.ones((4, 2)), np.zeros((4, 2)))
    with pytest.raises(DataError, match="of one recording says nothing"):
        compare(mae(), windows, windows, "y", np.zeros(4, np.int64))


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    """RMSE of 40 normal errors each, whose true drop is known; 95 % within what 120 runs allow."""
    rng = np.random.default_rng(5)
    covered = 0
    zeros = np.zeros((40, 1))
    for _ in range(120):
        before, after = rng.normal(0, 1, (40, 1)), rng.normal(0, 1.5, (40, 1))
        found = compare(rmse(), values(before, zeros), values(after, zeros), "y")
        covered += found.ci_low <= 0.5 <= found.ci_high
    assert 106 <= covered <= 120


def test_windows_of_one_recording_count_as_one_where_they_answer_alike() -> None:
    """Five copies of each of 60 samples prove no more than the 60 do."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 60)
    chosen = np.where(rng.random(60) < 0.1, (labels + 1) % 4, labels)
    alone = [choosing(labels, labels), choosing(chosen, labels)]
    copies = [choosing(np.repeat(c, 5), np.repeat(labels, 5)) for c in (labels, chosen)]
    recordings = np.repeat(np.arange(60), 5)
    for metric in (top(1), recall()):
        found = compare(metric, *alone, primary="y")
        naive = compare(metric, *copies, primary="y")
        aware = compare(metric, *copies, primary="y", clusters=recordings)
        width, less, same = (each.ci_high - each.ci_low for each in (found, naive, aware))
        assert less < 0.6 * width
        assert same == pytest.approx(width, rel=0.1)
        assert aware.quantized_ci_low == pytest.approx(found.quantized_ci_low, abs=0.02)
        assert aware.drop == found.drop == naive.drop


def test_classes_have_the_recordings_of_their_own() -> None:
    labels = np.repeat([0, 1, 2, 3], 20)
    answers = choosing(labels, labels)
    found = compare(recall(), answers, answers, "y", np.repeat(np.arange(16), 5))
    for each in found.classes.values():
        assert each.pair is not None
        assert (each.n, each.pair.independent) == (20, 4)
        assert each.ci_high == pytest.approx(paired_difference(0, 0, 4).high)
