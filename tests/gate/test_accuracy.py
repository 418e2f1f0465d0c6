"""Drops held against their limits on real tallies: what decides, and what would."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.gate.accuracy import check_accuracy
from edgekit.gate.check import Check, Status
from edgekit.numerics.intervals import paired_difference_score
from edgekit.recipe.gate_spec import GateSpec
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.classification import RecallTally, recall, top
from edgekit.tasks.compare import compare
from edgekit.tasks.regression import mae
from edgekit.tasks.task import MetricAccuracy, Pair

CLASSES = 3


def predictions(labels: np.ndarray, chosen: np.ndarray) -> Predictions:
    scores = np.eye(CLASSES, dtype=np.float32)[chosen]
    ids = tuple(f"s{i}" for i in range(len(labels)))
    return Predictions(ids=ids, outputs={"y": scores}, labels=labels)


def accuracy(
    n: int, float_wrong: list[int], quantized_wrong: list[int]
) -> dict[str, MetricAccuracy]:
    """top1 and recall of ``n`` samples of three classes in turn; each model is wrong on some."""
    labels = np.arange(n) % CLASSES

    def answers(wrong: list[int]) -> np.ndarray:
        chosen = labels.copy()
        chosen[wrong] = (chosen[wrong] + 1) % CLASSES
        return chosen

    both = predictions(labels, answers(float_wrong)), predictions(labels, answers(quantized_wrong))
    return {
        "top1": compare(top(1), *both, "y"),
        "recall": compare(recall(), *both, "y"),
    }


def checked(found: dict[str, MetricAccuracy], **limits: Any) -> Check:
    (check,) = check_accuracy(GateSpec(**limits), found)
    return check


def needed(check: Check) -> int:
    told = re.search(r"about ([\d,]+) [a-z ]+ would decide", check.why)
    assert told is not None, check.why
    return int(told[1].replace(",", ""))


def test_an_undecided_drop_says_how_many_samples_would_decide() -> None:
    few = accuracy(300, [], [0])
    check = checked(few, top1_drop_max=0.015)
    assert check.status is Status.INCONCLUSIVE
    times = needed(check) // 300 + 1
    many = accuracy(300 * times, [], [300 * i for i in range(times)])
    assert checked(many, top1_drop_max=0.015).status is Status.PASS
    assert "would decide" not in checked(many, top1_drop_max=0.015).why


def test_a_drop_that_is_the_limit_is_decided_by_no_number() -> None:
    check = checked(accuracy(300, [], [0, 1, 2]), top1_drop_max=0.01)
    assert check.status is Status.INCONCLUSIVE
    assert "no number of them would decide, for the estimate is the limit" in check.why


def test_a_share_of_right_answers_comes_with_mcnemars_test() -> None:
    check = checked(accuracy(300, [0, 1, 2], [*range(3, 13)]), top1_drop_max=0.5)
    assert check.why.endswith("; 10 lost, 3 won (exact McNemar test: p = 0.092)")
    assert "McNemar" not in checked(accuracy(300, [], [0]), drop_max={"recall": 0.5}).why


def test_a_bootstrapped_drop_says_about_how_many() -> None:
    check = checked(accuracy(300, [], [0, 4, 8]), drop_max={"recall": 0.02})
    assert check.name == "accuracy.recall.drop"
    assert check.status is Status.INCONCLUSIVE
    assert "about" in check.why
    assert needed(check) > 300


def test_where_lower_is_better_more_error_is_lost() -> None:
    targets = np.zeros((400, 1), np.float32)
    ids = tuple(map(str, range(400)))
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, (400, 1)).astype(np.float32)
    before = Predictions(ids=ids, outputs={"y": noise}, labels=None, targets=targets)
    after = Predictions(ids=ids, outputs={"y": noise * 1.5}, labels=None, targets=targets)
    found = {"mae": compare(mae(), before, after, "y")}
    assert checked(found, drop_max={"mae": 0.2}).status is Status.FAIL
    assert checked(found, drop_max={"mae": 0.6}).status is Status.PASS
    relative = checked(found, relative_drop_max={"mae": 0.3})
    assert relative.status is Status.FAIL
    assert relative.value == pytest.approx(0.5)
    assert checked(found, relative_drop_max={"mae": 0.6}).status is Status.PASS


def test_the_confidence_is_that_of_the_recipe() -> None:
    found = accuracy(3000, [], list(range(0, 60)))
    low, high = (checked(found, top1_drop_max=0.0255, confidence=c) for c in (0.8, 0.999))
    assert (low.status, high.status) == (Status.PASS, Status.INCONCLUSIVE)
    assert "the 80 % interval" in low.why
    assert "the 99.9 % interval" in high.why


def test_a_relative_drop_is_a_share_of_the_float_figure() -> None:
    wrong = list(range(1500))
    found = accuracy(3000, wrong, [*wrong, *range(2000, 2060)])  # 0.5 to 0.48
    check = checked(found, relative_drop_max={"top1": 0.06})
    assert check.value == pytest.approx(0.04)
    assert check.status is Status.PASS
    assert checked(found, relative_drop_max={"top1": 0.02}).status is Status.FAIL
    assert checked(found, drop_max={"top1": 0.04}).status is Status.PASS


def test_nothing_is_a_share_of_nothing() -> None:
    found = accuracy(300, [], [0])
    found["top1"] = replace(found["top1"], float=0.0)
    check = checked(found, relative_drop_max={"top1": 0.1})
    assert check.status is Status.NOT_MEASURED


def test_the_worst_class_is_named_though_the_mean_hardly_moves() -> None:
    # Class 2 loses 30 of 400, the others nothing.
    found = accuracy(1200, [], [3 * i + 2 for i in range(30)])
    assert checked(found, drop_max={"top1": 0.05}).status is Status.PASS
    check = checked(found, class_recall_drop_max=0.02)
    assert check.status is Status.FAIL
    assert check.name == "accuracy.recall.class_drop"
    assert check.value == pytest.approx(30 / 400)
    assert check.why == (
        "class 2 (+0.075 of 400) lost more, at 95 % over all 3 classes together (Holm)"
    )


def test_classes_of_few_samples_are_undecided_and_say_how_many_would_do() -> None:
    check = checked(accuracy(60, [], []), class_recall_drop_max=0.05)
    assert check.status is Status.INCONCLUSIVE
    # Of no difference the interval reaches to z^2 / (n + z^2), of 20 to 0.161.
    assert "interval of 3 of 3 classes lies across the limit: class 0 (+0.000 of 20)" in check.why
    assert needed(check) == 73
    whole = checked(accuracy(219, [], []), class_recall_drop_max=0.05)
    assert whole.status is Status.PASS
    assert "each of the 3 classes is within" in whole.why


def test_a_failed_class_counts_before_undecided_ones() -> None:
    found = accuracy(60, [], [3 * i for i in range(15)])  # class 0 loses 15 of 20
    check = checked(found, class_recall_drop_max=0.05)
    assert (check.status, check.value) == (Status.FAIL, pytest.approx(0.75))
    assert check.why.startswith("class 0 ")


def of_classes(classes: int, each: int, lost: np.ndarray) -> dict[str, MetricAccuracy]:
    """recall of ``each`` samples a class, of which ``lost``, bool [classes * each], are lost."""
    right = np.ones(classes * each, bool)
    labels = np.repeat(np.arange(classes), each)
    pair = Pair(recall(), RecallTally(right, labels), RecallTally(~lost, labels))
    found = {
        name: replace(ONE, n=each, drop=1 - tally.value(), pair=Pair(recall(), tally_of_all, tally))
        for (name, tally), tally_of_all in zip(
            pair.quantized.classes.items(), pair.float_model.classes.values(), strict=True
        )
    }
    return {"recall": replace(ONE, classes=found)}


ONE = MetricAccuracy(1.0, 0.9, 0.1, 50, 0.03, 0.22, 0.8, 0.95)


def test_a_thousand_classes_at_the_limit_hardly_ever_fail_by_chance() -> None:
    """Each lost exactly what it may; by themselves some would be beyond in every evaluation."""
    rng = np.random.default_rng(2)
    failed = alone = 0
    for _ in range(4):
        found = of_classes(1000, 50, rng.random(50_000) < 0.1)
        failed += checked(found, class_recall_drop_max=0.1).status is Status.FAIL
        alone += any(
            paired_difference_score(round(50 * one.drop), 0, 50, 0.1) > 1.96
            for one in found["recall"].classes.values()
        )
    assert alone == 4
    assert failed <= 1


def test_one_lost_class_in_a_thousand_is_found() -> None:
    lost = np.zeros(50_000, bool)
    lost[7 * 50 : 7 * 50 + 40] = True
    check = checked(of_classes(1000, 50, lost), class_recall_drop_max=0.1)
    assert check.status is Status.FAIL
    assert check.why.startswith("class 7 (+0.800 of 50) lost more")


def test_what_was_not_scored_is_not_measured() -> None:
    found = accuracy(60, [], [])
    check = checked(found, drop_max={"top5": 0.1})
    assert (check.status, check.value) == (Status.NOT_MEASURED, None)
    assert check.why == "top5 was not scored; top1, recall were"
    for limits in ({"class_recall_drop_max": 0.1}, {"relative_drop_max": {"top1": 0.1}}):
        check = checked({}, **limits)
        assert check.status is Status.NOT_MEASURED
        assert check.why == "there were no labelled samples"
