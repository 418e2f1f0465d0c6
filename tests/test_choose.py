"""Which candidate wins, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.choose import CLEAR_DB, Candidate, Choice, Samples, choose

ON = Samples("dev", "photos", 200)


def candidate(name: str, agreeing: int | None = 190, db: float = 17.0, **other: Any) -> Candidate:
    """Agrees on the first ``agreeing`` of 200 samples."""
    fields = {"seconds": 1.0, "sqnr_db": {"scores": db}, "size_bytes": 1000, "float_ops": 0}
    same = None if agreeing is None else np.arange(200) < agreeing
    return Candidate(**{"name": name, "agreeing": same, **fields, **other})


def chosen(*candidates: Candidate) -> tuple[str, str]:
    choice = choose("method", candidates, ON)
    return choice.chosen, choice.by


def lost(choice: Choice) -> dict[str, str | None]:
    return {each.name: each.lost for each in choice.candidates}


def test_what_keeps_its_promise_beats_what_measures_better() -> None:
    kept = candidate("kept", 100, 5.0)
    broken = candidate("broken", 200, 40.0, broken=("artefact.full_integer: TANH at a",))
    assert chosen(broken, kept) == ("kept", "promise")
    assert lost(choose("method", [broken, kept], ON)) == {
        "broken": "artefact.full_integer: TANH at a",
        "kept": None,
    }


def test_where_all_break_it_the_figures_decide() -> None:
    worse = candidate("worse", 190, 12.0, broken=("x",))
    assert chosen(worse, candidate("better", broken=("y", "z"))) == ("better", "sqnr_db")


def test_a_clear_difference_of_agreement_beats_sqnr() -> None:
    """Clipped logits: less noise, other answers."""
    assert chosen(candidate("clipped", 116, 17.0), candidate("exact", 188, 13.6)) == (
        "exact",
        "agreement",
    )


def test_a_few_answers_do_not_beat_a_clear_difference_of_sqnr() -> None:
    assert chosen(candidate("lucky", 190, 14.0), candidate("better", 187, 17.0)) == (
        "better",
        "sqnr_db",
    )
    choice = choose("method", [candidate("lucky", 190, 14.0), candidate("better", 187, 17.0)], ON)
    assert lost(choice)["lucky"] == "3.0 dB less SQNR of scores than better"


def test_answers_that_differ_both_ways_are_no_difference_either() -> None:
    """The test is paired: 20 lost and 14 won is not the same as 6 lost."""
    first = np.ones(200, bool)
    second = np.ones(200, bool)
    first[:14], second[14:34] = False, False
    mixed = [
        candidate("noisy", db=14.0, agreeing=None),
        candidate("clean", db=17.0, agreeing=None),
    ]
    assert chosen(replace(mixed[0], agreeing=first), replace(mixed[1], agreeing=second)) == (
        "clean",
        "sqnr_db",
    )


def test_further_outputs_decide_where_the_primary_does_not() -> None:
    ahead = candidate("ahead", sqnr_db={"classes": 20.5, "boxes": 8.0})
    sound = candidate("sound", sqnr_db={"classes": 20.0, "boxes": 19.0})
    assert chosen(ahead, sound) == ("sound", "sqnr_db")


def test_alike_in_quality_the_smaller_file_wins_then_the_least_noise_then_the_order() -> None:
    first, second = candidate("first", db=17.0), candidate("second", db=17.4)
    assert chosen(first, second) == ("second", "sqnr_db")
    assert chosen(first, candidate("second", db=17.4, size_bytes=1020)) == ("first", "size_bytes")
    assert chosen(first, candidate("second", size_bytes=1005)) == ("first", "order")


def test_what_failed_is_kept_in_the_list_and_never_taken() -> None:
    failed = Candidate("failed", 3.0, error="it has no such operator")
    choice = choose("method", [failed, Candidate("left", 1.0)], None)
    assert (choice.chosen, choice.by) == ("left", "only_candidate")
    assert choice.to_dict() == {
        "of": "method",
        "chosen": "left",
        "by": "only_candidate",
        "on": None,
        "candidates": [
            {
                "name": "failed",
                "agreement": None,
                "sqnr_db": None,
                "outputs": {},
                "size_bytes": None,
                "float_ops": None,
                "seconds": 3.0,
                "lost": None,
                "error": "it has no such operator",
            },
            {
                "name": "left",
                "agreement": None,
                "sqnr_db": None,
                "outputs": {},
                "size_bytes": None,
                "float_ops": None,
                "seconds": 1.0,
                "lost": None,
            },
        ],
    }


figures: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    agreeing=st.integers(150, 200),
    db=st.floats(-5, 60),
    size_bytes=st.integers(900, 1100),
    broken=st.sampled_from([(), ("promise",)]),
)


@given(st.lists(figures, min_size=1, max_size=4))
def test_one_is_always_chosen_and_the_others_are_told_why(drawn: list[dict[str, Any]]) -> None:
    candidates = [candidate(str(index), **each) for index, each in enumerate(drawn)]
    choice = choose("method", candidates, ON)
    reasons = lost(choice)
    assert reasons.pop(choice.chosen) is None
    assert all(reasons.values())
    assert (choice.by == "only_candidate") is (len(candidates) == 1)


@given(st.lists(figures, min_size=2, max_size=3))
def test_the_order_decides_between_equals_only(drawn: list[dict[str, Any]]) -> None:
    candidates = [candidate(str(index), **each) for index, each in enumerate(drawn)]
    found: Sequence[Choice] = [choose("m", each, ON) for each in permutations(candidates)]
    if all(choice.by != "order" for choice in found):
        assert len({choice.chosen for choice in found}) == 1


@pytest.mark.parametrize("gap", [CLEAR_DB / 2, CLEAR_DB * 2])
def test_tensors_have_no_agreement(gap: float) -> None:
    better = candidate("better", None, 20.0 + gap)
    assert chosen(candidate("worse", None, 20.0, size_bytes=900), better) == (
        ("better", "sqnr_db") if gap > CLEAR_DB else ("worse", "size_bytes")
    )
