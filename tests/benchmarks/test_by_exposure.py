"""The table by exposure, from answers made here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.by_exposure import Answered, by_stop


def test_a_row_a_stop_and_one_of_all() -> None:
    answered = Answered(
        stops=np.array([0.2, 0.9, 2.5, 2.0]),
        right=np.array([True, True, False, True]),
        still_right=np.array([True, False, False, False]),
        agreeing=np.array([True, False, True, False]),
    )
    assert by_stop(answered) == [
        ("0 to 1", 2, 1.0, pytest.approx(0.5), 0.5),
        ("2 to 3", 2, 0.5, pytest.approx(0.0), 0.5),
        ("all", 4, 0.75, pytest.approx(0.25), 0.5),
    ]
