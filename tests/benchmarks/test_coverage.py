"""The gate's intervals hold the truth as often as they say, and a model at its limit hardly ever
passes: simulated, seeded."""

from __future__ import annotations

import pytest

from benchmarks.coverage import Coverage, of_difference, of_mean, of_relative

TRIALS = 800


def wrong_at_most(found: Coverage, share: float) -> bool:
    """Within four standard errors of the simulation."""
    spare = 4 * (share * (1 - share) / TRIALS) ** 0.5
    return max(found.wrong_pass, found.wrong_fail) <= share + spare


@pytest.mark.parametrize(
    ("n", "lost", "won"),
    [(50, 0.1, 0.05), (300, 0.01, 0.005), (1000, 0.01, 0.0), (10_000, 0.01, 0.005)],
)
def test_of_models_at_the_limit_one_in_forty_passes_at_most(
    n: int, lost: float, won: float
) -> None:
    found = of_difference(n, lost, won, trials=TRIALS)
    assert 0.92 <= found.covers <= 0.985
    assert wrong_at_most(found, 0.025)


@pytest.mark.parametrize(("n", "lost", "won"), [(100, 0.05, 0.02)])
def test_so_it_is_with_a_relative_limit(n: int, lost: float, won: float) -> None:
    found = of_relative(n, 0.8, lost, won, trials=TRIALS)
    assert 0.93 <= found.covers <= 0.98
    assert wrong_at_most(found, 0.025)


def test_a_mean_of_skewed_figures_errs_twice_as_often_at_most() -> None:
    assert wrong_at_most(of_mean(200, trials=TRIALS), 0.05)
