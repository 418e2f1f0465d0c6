"""Fidelity and size."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgekit.errors import MismatchError, UsageError
from edgekit.numerics.fidelity import SQNR_LIMIT_DB, Fidelity, fidelity, top1_drop
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array


def predictions(**outputs: Array) -> Predictions:
    n = len(next(iter(outputs.values())))
    made = {name: array.astype(np.float32) for name, array in outputs.items()}
    return Predictions(made, tuple(f"s{i}" for i in range(n)), None)


def compared(f: Array, q: Array, classification: bool = False) -> Fidelity:
    return fidelity(predictions(y=f), predictions(y=q), primary="y", classification=classification)


def test_figures_by_hand() -> None:
    f = np.array([[3.0, 0.0], [0.0, 4.0]])
    q = np.array([[3.0, 0.5], [0.0, 3.0]])
    found = compared(f, q, classification=True)
    assert found.n == 2
    assert found.sqnr_db == pytest.approx(10 * np.log10(25 / 1.25))
    assert found.max_abs == 1.0
    assert found.outputs["y"].cosine == pytest.approx(21 / (5 * np.sqrt(18.25)))
    assert found.agreement == 1.0
    assert compared(f, f[::-1], classification=True).agreement == 0.0


def test_sqnr_is_pooled_not_averaged_over_samples() -> None:
    f = np.array([[100.0], [1.0]])
    q = np.array([[100.0], [2.0]])
    assert compared(f, q).sqnr_db == pytest.approx(10 * np.log10(10001))


def test_the_primary_output_gives_the_flat_values() -> None:
    a, b = np.ones((3, 2)), np.full((3, 4, 4, 1), 2.0)
    found = fidelity(
        predictions(a=a, b=b), predictions(b=b + 0.5, a=a), primary="b", classification=False
    )
    assert set(found.outputs) == {"a", "b"}
    assert (found.sqnr_db, found.max_abs) == (found.outputs["b"].sqnr_db, 0.5)
    assert found.outputs["a"].sqnr_db == SQNR_LIMIT_DB
    assert found.agreement is None


def test_equal_scores_agree_on_the_first() -> None:
    f, q = np.array([[0.2, 0.7, 0.69]]), np.array([[0.0, 0.7, 0.7]])
    assert compared(f, q, classification=True).agreement == 1.0
    assert compared(f[:, ::-1], q[:, ::-1], classification=True).agreement == 0.0


@pytest.mark.parametrize(
    ("f", "q", "sqnr_db", "cosine"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], SQNR_LIMIT_DB, 1.0),
        ([[0.0, 0.0]], [[0.0, 0.0]], SQNR_LIMIT_DB, 1.0),
        ([[0.0, 0.0]], [[1.0, 0.0]], -SQNR_LIMIT_DB, 0.0),
        ([[1.0, 0.0]], [[0.0, 0.0]], 0.0, 0.0),
        ([[1e-30]], [[1e30]], -SQNR_LIMIT_DB, 1.0),
        ([[1.0, 2.0]], [[-1.0, -2.0]], 10 * np.log10(0.25), -1.0),
    ],
)
def test_the_extremes_stay_finite_and_fit_json(
    f: list[list[float]], q: list[list[float]], sqnr_db: float, cosine: float
) -> None:
    found = compared(np.array(f), np.array(q))
    assert found.sqnr_db == pytest.approx(sqnr_db)
    assert found.outputs["y"].cosine == pytest.approx(cosine)
    report = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    assert list(report) == ["n", "agreement", "sqnr_db", "max_abs", "outputs"]
    assert list(report["outputs"]["y"]) == ["sqnr_db", "max_abs", "cosine"]


def test_what_cannot_be_compared_says_why() -> None:
    y = np.ones((2, 3))
    with pytest.raises(MismatchError, match="outputs 'y', the candidate has 'z'"):
        fidelity(predictions(y=y), predictions(z=y), primary="y", classification=False)
    with pytest.raises(MismatchError, match=r"shape \[3\] in the reference and \[4\]"):
        compared(y, np.ones((2, 4)))
    with pytest.raises(MismatchError, match="infinite"):
        compared(y, y * np.inf)
    with pytest.raises(UsageError, match="no output is called 'z'; there is 'y'"):
        fidelity(predictions(y=y), predictions(y=y), primary="z", classification=False)
    with pytest.raises(UsageError, match="same samples"):
        compared(y, np.ones((3, 3)))


def test_top1_drop_is_what_was_right_less_what_is_right() -> None:
    before, after = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 2, 2, 1]]
    labels = np.array([0, 1, 2, 1])
    assert top1_drop(before, after, labels) == 0.0  # one lost, one gained
    assert top1_drop(before, np.roll(before, 1, axis=1), labels) == 0.5
    assert top1_drop(before[:, :, None], before[:, :, None], labels) == 0.0
