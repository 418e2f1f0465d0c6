"""A metric of the user's own: what it gets, what it may return, whose its errors are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import DataError, SourceError
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.compare import compare
from edgekit.tasks.own import own_metric
from edgekit.tasks.task import Metric

LABELS = np.arange(12) % 3
ANSWERS = Predictions(
    {"y": np.eye(3, dtype=np.float32)[LABELS]}, tuple(map(str, range(12))), LABELS
)


def metric(folder: Path, body: str, *, higher: bool = True) -> Metric:
    file = folder / "own.py"
    file.write_text(f"import numpy as np\n\ndef score(outputs, targets):\n    {body}\n")
    return own_metric(f"{file}:score", higher_is_better=higher)


def test_one_score_a_sample_is_averaged(tmp_path: Path) -> None:
    found = metric(tmp_path, "return (outputs.argmax(axis=1) == targets) * 0.5")
    assert found.name == "score"
    both = compare(found, ANSWERS, ANSWERS, "y")
    assert (both.float, both.n, both.low, both.high) == (0.5, 12, None, None)


def test_scores_of_yes_and_no_are_proportions(tmp_path: Path) -> None:
    found = metric(tmp_path, "return outputs.argmax(axis=1) != targets", higher=False)
    wrong = Predictions({"y": np.roll(ANSWERS.outputs["y"], 1, axis=0)}, ANSWERS.ids, LABELS)
    both = compare(found, ANSWERS, wrong, "y")
    assert (both.interval, both.float, both.quantized, both.drop) == ("tango", 0, 1, 1)
    assert 0.5 < both.ci_low <= 1 == both.ci_high


def test_one_figure_is_bootstrapped(tmp_path: Path) -> None:
    found = metric(tmp_path, "return float((outputs.argmax(axis=1) == targets).mean())")
    wrong = Predictions({"y": ANSWERS.outputs["y"][[0, 0, *range(2, 12)]]}, ANSWERS.ids, LABELS)
    both = compare(found, ANSWERS, wrong, "y")
    assert both.interval == "bootstrap"
    assert both.drop == pytest.approx(1 / 12)
    assert both.ci_low < both.drop < both.ci_high


def test_several_outputs_come_by_name_and_targets_before_labels(tmp_path: Path) -> None:
    found = metric(tmp_path, "return outputs['b'].sum(axis=1) - targets[:, 0]")
    outputs = {"a": np.zeros((2, 1), np.float32), "b": np.ones((2, 3), np.float32)}
    answers = Predictions(outputs, ("a", "b"), np.array([0, 1]), np.ones((2, 1)))
    assert found.tally(answers, "a").value() == 2


def test_what_it_does_to_its_arrays_stays_its_own(tmp_path: Path) -> None:
    found = metric(tmp_path, "outputs[:] = 0; targets[:] = 9; return outputs.sum(axis=1)")
    found.tally(ANSWERS, "y")
    assert ANSWERS.outputs["y"].sum() == 12
    assert LABELS.max() == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no luck')", "raised ValueError: no luck"),
        ("return outputs.sum()[3]", "raised IndexError"),
        ("import sys; sys.exit(0)", r"called sys.exit\(0\)"),
        ("return float('nan')", "returned NaN or infinity"),
        ("return outputs", r"returned an array \[12, 3\] for 12 samples"),
        ("return [1.0, 2.0]", r"returned an array \[2\] for 12 samples"),
        ("return 'good'", "returned str, no number"),
        ("return None", "returned NaN or infinity|returned NoneType, no number"),
    ],
)
def test_its_errors_are_told_as_its_own(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        metric(tmp_path, body).tally(ANSWERS, "y")
    if "raised" in said or "exit" in said:
        assert f"{tmp_path / 'own.py'}:4" in str(caught.value.hint)


def test_it_is_imported_only_when_it_is_called(tmp_path: Path) -> None:
    file = tmp_path / "loud.py"
    file.write_text("raise RuntimeError('imported')\n")
    found = own_metric(f"{file}:score", higher_is_better=True)
    with pytest.raises(SourceError, match="RuntimeError: imported"):
        found.tally(ANSWERS, "y")
    with pytest.raises(SourceError, match="there is no file"):
        own_metric(f"{tmp_path / 'none.py'}:score", higher_is_better=True)


def test_a_function_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def scores(outputs, targets): ...\n")
    with pytest.raises(SourceError, match="has no 'score'"):
        own_metric(f"{file}:score", higher_is_better=True).tally(ANSWERS, "y")
