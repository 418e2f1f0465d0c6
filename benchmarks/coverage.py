"""How often the gate's intervals hold what they should, and how often a model exactly at its limit
passes all the same: simulated, seeded.

    python -m benchmarks.coverage

``covers`` is how often the 95 % interval of the drop holds the true one; ``wrong pass`` and ``wrong
fail`` how often a check whose limit is exactly the true drop passes or fails: 2.5 % each where the
interval is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.numerics.clusters import design_effect
from edgekit.numerics.intervals import Interval, paired_difference, paired_ratio
from edgekit.numerics.resampling import mean_interval, paired_bootstrap
from edgekit.types import Array

TRIALS = 20_000
SIZES = (50, 200, 1000, 5000, 10_000)
RATES = (
    # lost, won: shares of samples that the float model alone, and the quantized alone, gets right
    (0.005, 0.0),
    (0.01, 0.005),
    (0.03, 0.02),
    (0.1, 0.05),
)


@dataclass(frozen=True)
class Coverage:
    """Shares of the trials."""

    covers: float
    wrong_pass: float
    wrong_fail: float


def of_difference(n: int, lost: float, won: float, *, trials: int = TRIALS) -> Coverage:
    """Tango's interval of ``lost - won``, the rates at which samples are lost and won."""
    drawn = _cells(n, 0.0, lost, won, trials)
    return _coverage(_each(drawn, lambda row: paired_difference(row[1], row[2], n)), lost - won)


def of_relative(n: int, right: float, lost: float, won: float, *, trials: int = TRIALS) -> Coverage:
    """Nam and Blackwelder's interval of the relative drop; ``right`` in the float model."""

    def relative(row: tuple[int, int, int]) -> Interval:
        ratio = paired_ratio(*row, n)
        return Interval(1 - ratio.high, 1 - ratio.low)

    drawn = _cells(n, right - lost, lost, won, trials)
    return _coverage(_each(drawn, relative), (lost - won) / right)


def of_windows(
    recordings: int, windows: int, lost: float, alike: float, *, trials: int = 2000
) -> Coverage:
    """Tango's interval of a drop of ``lost`` on so many windows of each recording; ``alike`` is the
    correlation of two windows of one."""
    rng = np.random.default_rng(0)
    n, clusters = recordings * windows, np.repeat(np.arange(recordings), windows)
    # A beta-binomial: its correlation within a recording is 1 / (a + b + 1).
    size = 1 / alike - 1
    rates = rng.beta(lost * size, (1 - lost) * size, (trials, recordings))
    hits = rng.random((trials, n)) < np.repeat(rates, windows, axis=1)
    found = []
    for row in hits.astype(np.float64):
        effect = design_effect(row, clusters)
        found.append(paired_difference(row.sum() / effect, 0, n / effect))
    return _coverage(found, lost)


def of_mean(n: int, *, trials: int = TRIALS) -> Coverage:
    """Student's interval of a mean of skewed differences (exponential, mean 1)."""
    drawn = np.random.default_rng(0).exponential(1.0, (trials, n))
    return _coverage([mean_interval(row) for row in drawn], 1.0)


def of_bootstrap(n: int, *, trials: int = 1000) -> Coverage:
    """The bootstrap of a difference of root mean squares, whose true value is 0.5."""
    rng = np.random.default_rng(0)

    def root(values: Array) -> Callable[[Array], float]:
        squares = values**2
        return lambda weights: float(np.sqrt(weights @ squares / n))

    found = []
    for _ in range(trials):
        first, second = rng.normal(size=(2, n))
        found.append(paired_bootstrap(root(1.5 * first), root(second), n)[0])
    return _coverage(found, 0.5)


def _cells(n: int, both: float, lost: float, won: float, trials: int) -> Array:
    """int64 [trials, 3]: right in both, in the float model alone, in the quantized alone."""
    rates = [both, lost, won, 1 - both - lost - won]
    return np.random.default_rng(n).multinomial(n, rates, trials)[:, :3]


def _each(drawn: Array, interval: Callable[[tuple[int, int, int]], Interval]) -> list[Interval]:
    """Equal draws are computed once."""
    known: dict[tuple[int, int, int], Interval] = {}
    found = []
    for a, b, c in drawn.tolist():
        if (a, b, c) not in known:
            known[a, b, c] = interval((a, b, c))
        found.append(known[a, b, c])
    return found


def _coverage(found: list[Interval], true: float) -> Coverage:
    ends = np.array([(interval.low, interval.high) for interval in found])
    return Coverage(
        covers=float(((ends[:, 0] <= true) & (true <= ends[:, 1])).mean()),
        wrong_pass=float((ends[:, 1] <= true).mean()),
        wrong_fail=float((ends[:, 0] > true).mean()),
    )


def rows() -> Iterator[tuple[str, Coverage]]:
    """Of the table in docs/verdict.md."""
    for n in SIZES:
        for lost, won in RATES:
            what = f"{n:,} samples, {lost:.1%} lost, {won:.1%} won"
            # Right answers of both do not enter Tango's interval.
            yield f"drop: {what}", of_difference(n, lost, won)
    # The worst of a finer grid.
    yield "drop: 50 samples, 10.5% lost, 10.0% won", of_difference(50, 0.105, 0.1)
    for n in (200, 1000, 10_000):
        what = f"relative drop: {n:,} samples of which 80 % right, 3.0% lost, 2.0% won"
        yield what, of_relative(n, 0.8, 0.03, 0.02, trials=2000)
    for recordings, windows, alike in (
        (5, 100, 0.1),
        (20, 100, 0.1),
        (50, 100, 0.1),
        (100, 5, 0.1),
        (100, 5, 0.5),
        (400, 5, 0.5),
    ):
        what = f"drop: {recordings} recordings of {windows} windows, correlation {alike}, 5.0% lost"
        yield what, of_windows(recordings, windows, 0.05, alike)
    yield "mean of skewed differences, 200 samples", of_mean(200)
    yield "bootstrap of a difference of RMS, 100 samples", of_bootstrap(100)


def main() -> None:
    """Print the table of docs/verdict.md."""
    print("| interval | covers | wrong pass | wrong fail |\n|---|---|---|---|")
    for name, found in rows():
        print(f"| {name} | {found.covers:.1%} | {found.wrong_pass:.1%} | {found.wrong_fail:.1%} |")


if __name__ == "__main__":
    main()
