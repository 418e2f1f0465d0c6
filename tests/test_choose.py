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


def test_where_all_else_is_alike_more_answers_beat_a_fraction_of_a_decibel() -> None:
    assert chosen(candidate("quieter", 182, 17.4), candidate("likelier", 185, 17.1)) == (
        "likelier",
        "agreement",
    )
    assert "3 answers of 200 that likelier keeps" in str(
        lost(choose("method", [candidate("quieter", 182, 17.4), candidate("likelier", 185)], ON))
    )
    # One answer is within the standard error of one.
    assert chosen(candidate("quieter", 184, 17.4), candidate("likelier", 185, 17.1)) == (
        "quieter",
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
                "latency_ms": None,
                "size_bytes": None,
                "ops": None,
                "float_ops": None,
                "transposes": None,
                "hops": [],
                "seconds": 3.0,
                "lost": None,
                "error": "it has no such operator",
            },
            {
                "name": "left",
                "agreement": None,
                "sqnr_db": None,
                "outputs": {},
                "latency_ms": None,
                "size_bytes": None,
                "ops": None,
                "float_ops": None,
                "transposes": None,
                "hops": [],
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


# Between ways over the bridges: two rules of cost ------------------------------------------------


def times(median_ms: float, spread: float = 0.02) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Fifteen rounds, the same noise for each."""
    noise = np.random.default_rng(0).normal(1.0, spread, 15)
    return median_ms * noise


def way(name: str, median_ms: float | None = None, **other: Any) -> Candidate:
    round_ms = None if median_ms is None else times(median_ms)
    return candidate(name, **{"transposes": 2, "round_ms": round_ms, **other})


def taken(*candidates: Candidate, of: str = "bridge") -> tuple[str, str]:
    choice = choose(of, candidates, ON)
    return choice.chosen, choice.by


def test_a_way_that_is_clearly_slower_loses_whatever_its_sqnr() -> None:
    slow, fast = way("slow", 5.3, db=19.0), way("fast", 3.2)
    assert taken(slow, fast) == ("fast", "latency")
    assert lost(choose("bridge", [slow, fast], ON))["slow"] == "1.66 x the latency of fast"
    # But not whatever its answers.
    assert taken(way("slow", 5.3), way("fast", 3.2, agreeing=120)) == ("slow", "agreement")


def test_a_difference_within_the_margin_or_within_the_noise_decides_nothing() -> None:
    assert taken(way("slow", 3.9, db=19.0), way("fast", 3.2)) == ("slow", "sqnr_db")
    noisy = way("slow", None, db=19.0, round_ms=np.linspace(3.0, 6.0, 15))
    assert taken(noisy, way("fast", 3.2)) == ("slow", "sqnr_db")


def test_where_sqnr_is_the_only_measure_of_quality_it_comes_before_latency() -> None:
    slow, fast = way("slow", 5.3, agreeing=None, db=19.0), way("fast", 3.2, agreeing=None)
    assert taken(slow, fast) == ("slow", "sqnr_db")
    assert taken(replace(slow, sqnr_db={"scores": 17.5}), fast) == ("fast", "latency")


def test_fewer_transposes_come_before_size_and_the_first_of_equals() -> None:
    many, few = way("many", 3.2, transposes=8, size_bytes=900), way("few", 3.2)
    assert taken(many, few) == ("few", "transposes")
    assert lost(choose("bridge", [many, few], ON))["many"] == "8 transposes, few has 2"
    unknown = way("unknown", 3.2, transposes=None, size_bytes=900)
    assert taken(unknown, few) == ("unknown", "size_bytes")


def test_methods_are_chosen_as_if_nothing_had_been_timed() -> None:
    slow, fast = way("slow", 5.3, db=17.2, transposes=8), way("fast", 3.2)
    assert taken(slow, fast, of="method") == ("slow", "sqnr_db")
    untimed = way("untimed", None, db=17.2)
    assert taken(untimed, fast) == ("untimed", "sqnr_db")


costs: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    agreeing=st.integers(150, 200),
    db=st.floats(-5, 60),
    median_ms=st.floats(0.1, 10),
    transposes=st.integers(0, 9),
)


@given(st.lists(costs, min_size=1, max_size=4))
def test_one_way_is_always_left(drawn: list[dict[str, Any]]) -> None:
    candidates = [way(str(index), **each) for index, each in enumerate(drawn)]
    choice = choose("bridge", candidates, ON)
    reasons = lost(choice)
    assert reasons.pop(choice.chosen) is None
    assert all(reasons.values())
