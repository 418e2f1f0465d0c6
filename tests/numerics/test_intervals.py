"""Intervals: published figures, defining equations, and coverage by seeded simulation."""

from __future__ import annotations

from math import comb, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.numerics.intervals import (
    Interval,
    bootstrap_ratio_of_medians,
    mcnemar,
    median_interval,
    paired_difference,
    paired_difference_score,
    paired_ratio,
    rounds_to_be_sure,
    samples_by_score,
    samples_to_decide,
    wilson,
)

Z = 1.959963984540054


def test_wilson_matches_published_figures() -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert wilson(20, 20).high == 1.0


def test_paired_difference_matches_a_published_figure() -> None:
    """M. W. Fagerland et al., Statistics in Medicine 33 (2014): airway data (1, 1, 7, 12)."""
    found = paired_difference(1, 7, 21)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)


def test_paired_difference_without_discordant_pairs_is_as_wide_as_n_allows() -> None:
    """Closed form for b = c = 0; the Wald interval would be [0, 0]."""
    found = paired_difference(0, 0, 20)
    assert found.high == pytest.approx(Z**2 / (20 + Z**2))
    assert found.low == pytest.approx(-found.high)


def constrained_rate(b: int, c: int, n: int, d: float) -> float:
    """Rate of second-only pairs that makes the counts likeliest when the difference is ``d``."""

    def log_likelihood(q: float) -> float:
        total = 0.0
        for count, rate in ((b, q + d), (c, q), (n - b - c, 1 - 2 * q - d)):
            if count:
                total += count * log(rate) if rate > 0 else -inf
        return total

    low, high = max(0.0, -d), (1 - d) / 2
    for _ in range(200):  # concave: ternary search
        a, z = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if log_likelihood(a) < log_likelihood(z) else (low, z)
    return (low + high) / 2


@given(st.data())
def test_the_ends_of_a_paired_interval_are_where_the_score_test_turns(data: st.DataObject) -> None:
    """Against a numerical constrained maximum likelihood that shares no formula with the code."""
    n = data.draw(st.integers(2, 400))
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    found = paired_difference(b, c, n)
    assert -1 <= found.low <= (b - c) / n <= found.high <= 1
    for end, sign in ((found.low, 1), (found.high, -1)):
        if abs(end) > 1 - 1e-9:
            continue
        q = constrained_rate(b, c, n, end)
        deviation = sqrt(n * (2 * q + end - end**2))
        assert (b - c - n * end) / deviation == pytest.approx(sign * Z, rel=1e-3)


@given(st.integers(1, 60), st.data())
def test_swapping_the_models_mirrors_the_interval(n: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    one, other = paired_difference(b, c, n), paired_difference(c, b, n)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.high == pytest.approx(-other.low, abs=1e-9)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.97])
def test_wilson_covers_about_95_percent(n: int, rate: float) -> None:
    """Exact coverage, by summing over every outcome."""
    chance = [comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]
    covered = [wilson(k, n).low <= rate <= wilson(k, n).high for k in range(n + 1)]
    assert 0.92 <= sum(p for p, yes in zip(chance, covered, strict=True) if yes) <= 0.99


def test_the_bootstrap_covers_about_95_percent() -> None:
    """Twenty rounds whose pairs share the machine's mood, true ratio 2."""
    rng = np.random.default_rng(23)
    covered = 0
    for seed in range(300):
        mood = rng.lognormal(0, 0.15, 20)
        slow = 8 * mood * rng.lognormal(0, 0.05, 20)
        fast = 4 * mood * rng.lognormal(0, 0.05, 20)
        found = bootstrap_ratio_of_medians(slow, fast, seed=seed, resamples=400)
        covered += found.low <= 2 <= found.high
    assert 0.91 <= covered / 300 <= 0.99


def test_the_bootstrap_keeps_pairs_together() -> None:
    """Wildly different rounds, but always exactly twice as slow: the ratio has no spread."""
    fast = np.array([1.0, 5.0, 2.0, 40.0, 3.0])
    found = bootstrap_ratio_of_medians(2 * fast, fast, seed=0)
    assert (found.low, found.high) == (2, 2)


def test_the_bootstrap_repeats_with_its_seed() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, 20), rng.uniform(1, 2, 20)
    first = bootstrap_ratio_of_medians(a, b, seed=4)
    assert first == bootstrap_ratio_of_medians(a, b, seed=4)
    assert first != bootstrap_ratio_of_medians(a, b, seed=5)


def test_impossible_counts_are_refused() -> None:
    for successes, n in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(UsageError):
            wilson(successes, n)
    for b, c, n in ((0, 0, 0), (-1, 0, 5), (3, 3, 5)):
        with pytest.raises(UsageError):
            paired_difference(b, c, n)
    with pytest.raises(UsageError, match="confidence"):
        wilson(1, 2, confidence=95)
    with pytest.raises(UsageError, match="two pairs"):
        bootstrap_ratio_of_medians(np.ones(1), np.ones(1), seed=0)
    with pytest.raises(UsageError, match="positive"):
        bootstrap_ratio_of_medians(np.ones(2), np.zeros(2), seed=0)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(200, 2000), st.floats(0, 0.05))
def test_so_many_more_of_the_same_decide(lost: int, won: int, n: int, limit: float) -> None:
    interval, estimate = paired_difference(lost, won, n), (lost - won) / n
    count = samples_to_decide(estimate, interval, n, limit)
    if count is None:
        assert abs(estimate - limit) < 1e-6
        return
    assert count >= n
    # Whole samples only, at rates that are those seen to a tenth of a sample in the first n.
    times = count / n
    if times > 1e4:
        return
    decided = paired_difference(round(lost * times), round(won * times), count)
    spare = 0.1 / n + 0.1 * abs(limit - estimate)
    assert decided.high <= limit + spare or decided.low > limit - spare


def test_of_a_decided_interval_no_more_are_needed() -> None:
    assert samples_to_decide(0.0, Interval(-0.01, 0.01), 100, 0.02) == 100
    assert samples_to_decide(0.05, Interval(0.03, 0.07), 100, 0.02) == 100
    assert samples_to_decide(0.02, Interval(0.0, 0.04), 100, 0.02) is None
    assert samples_to_decide(0.01, Interval(-0.01, 0.03), 100, 0.02) == 400


# Ratios, tests and how many samples would decide --------------------------------------------------


def test_the_ratio_lies_in_its_interval_and_keeps_a_width_where_nothing_differs() -> None:
    found = paired_ratio(80, 10, 5, 100)
    assert found.low < 85 / 90 < found.high
    alike = paired_ratio(20, 0, 0, 20)
    assert alike.low < 0.85
    assert alike.high > 1.15


def constrained_rates(a: int, b: int, c: int, n: int, ratio: float) -> tuple[float, float]:
    """Rates of first-only and second-only pairs that make the counts likeliest, found numerically,
    where ``p_second = ratio * p_first``."""
    from scipy.optimize import minimize

    def rates(free: np.ndarray) -> np.ndarray:
        first, share = 1 / (1 + np.exp(-free))
        first *= min(1.0, 1 / ratio)
        second = ratio * first
        low, high = max(0.0, first + second - 1), min(first, second)
        both = low + share * (high - low)
        return np.array([both, first - both, second - both, 1 - first - second + both])

    def unlikely(free: np.ndarray) -> float:
        counts = np.array([a, b, c, n - a - b - c])
        return -float((counts * np.log(np.maximum(rates(free), 1e-300))).sum())

    found = min(
        (minimize(unlikely, start, method="Nelder-Mead", tol=1e-12) for start in ([0, 0], [2, 2])),
        key=lambda one: float(one.fun),
    )
    return float(rates(found.x)[1]), float(rates(found.x)[2])


@pytest.mark.parametrize("cells", [(80, 10, 5, 100), (30, 4, 9, 60), (700, 25, 10, 1000)])
def test_the_ends_of_a_ratio_are_where_its_score_test_turns(
    cells: tuple[int, int, int, int],
) -> None:
    """Against a numerical constrained maximum likelihood that shares no formula with the code."""
    a, b, c, n = cells
    found = paired_ratio(*cells)
    assert found.low < (a + c) / (a + b) < found.high
    for end, sign in ((found.low, 1), (found.high, -1)):
        lost, won = constrained_rates(a, b, c, n, end)
        distance = (a + c) / n - end * (a + b) / n
        assert distance / sqrt(end * (lost + won) / n) == pytest.approx(sign * Z, rel=1e-3)


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10), st.integers(0, 20))
def test_a_ratio_lies_in_its_interval(both: int, b: int, c: int, neither: int) -> None:
    n = both + b + c + neither
    if both + b == 0:
        with pytest.raises(UsageError):
            paired_ratio(both, b, c, max(n, 1))
        return
    found = paired_ratio(both, b, c, n)
    assert 0 <= found.low <= (both + c) / (both + b) <= found.high


@pytest.mark.parametrize(
    ("lost", "won", "expected"),
    # 2 * sum of binomial(13, k <= 3) / 2**13, and so on
    [(0, 0, 1.0), (3, 10, 2 * (1 + 13 + 78 + 286) / 8192), (10, 3, 0.09228515625), (5, 5, 1.0)],
)
def test_mcnemars_exact_test(lost: int, won: int, expected: float) -> None:
    assert mcnemar(lost, won) == pytest.approx(expected)


def test_the_median_lies_in_its_interval_and_narrows_with_rounds() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.lognormal(0, 0.2, 10), rng.lognormal(0, 0.2, 1000)
    for values in (few, many):
        found = median_interval(values)
        assert found.low <= np.median(values) <= found.high
    wide, narrow = median_interval(few), median_interval(many)
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)
    assert median_interval(few, confidence=0.5).high < wide.high


@pytest.mark.parametrize(("lost", "won", "n", "limit"), [(3, 1, 200, 0.02), (8, 2, 300, 0.01)])
def test_so_many_samples_decide_and_no_fewer(lost: int, won: int, n: int, limit: float) -> None:
    score = paired_difference_score(lost, won, n, limit)
    needed = samples_by_score(score, n)
    assert needed is not None
    for count, decided in ((needed, True), (needed - 1, False)):
        at = paired_difference_score(lost / n * count, won / n * count, count, limit)
        assert (abs(at) >= Z) is decided


def test_an_estimate_on_the_limit_is_never_decided() -> None:
    assert samples_by_score(paired_difference_score(2, 0, 100, 0.02), 100) is None


def test_where_nothing_differs_as_many_decide_as_the_closed_form_says() -> None:
    """The interval of no difference reaches to z^2 / (n + z^2)."""
    assert samples_by_score(paired_difference_score(0, 0, 20, 0.05), 20) == 73
    assert paired_difference(0, 0, 73).high <= 0.05 < paired_difference(0, 0, 72).high


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_fewest_rounds_whose_range_holds_the_median(confidence: float) -> None:
    rounds = rounds_to_be_sure(confidence)
    assert 1 - 2 * 0.5**rounds >= confidence - 1e-12
    assert rounds == 2 or 1 - 2 * 0.5 ** (rounds - 1) < confidence


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [8, 20, 51])
def test_the_medians_interval_covers_whatever_the_distribution(n: int, confidence: float) -> None:
    drawn = np.random.default_rng(n).exponential(1.0, (4000, n))
    found = [median_interval(row, confidence) for row in drawn]
    low, high = np.array([(each.low, each.high) for each in found]).T
    slack = 3 * np.sqrt(confidence * (1 - confidence) / 4000)
    assert ((low <= np.log(2)) & (np.log(2) <= high)).mean() > confidence - slack
    assert (high <= np.log(2)).mean() < (1 - confidence) / 2 + slack
