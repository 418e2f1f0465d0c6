"""How long ``edgekit --help`` takes beside a bare click program."""

from __future__ import annotations

import sys
from statistics import median

from benchmarks.figure import Figure, Target
from benchmarks.process import run
from benchmarks.ratio import ratio_of_medians

ROUNDS = 10


def help_time(rounds: int = ROUNDS) -> Figure:
    """Whole processes, in turns; the first of each, which fills the disk cache, is not counted."""
    commands = {
        "edgekit": [sys.executable, "-m", "edgekit", "--help"],
        "click": [sys.executable, "-m", "benchmarks.bare_click", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for name in commands:
        run(commands[name])
    for number in range(rounds):
        for name in sorted(commands, reverse=number % 2 == 1):
            seconds[name].append(run(commands[name]).seconds)
    ratio = ratio_of_medians(seconds["edgekit"], seconds["click"])
    ours_ms, bare_ms = (1000 * median(seconds[name]) for name in ("edgekit", "click"))
    return Figure(
        name="edgekit --help / a bare click program",
        value=ratio.value,
        unit="x",
        target=Target("<=", 2.0),
        ci=(ratio.low, ratio.high),
        ci_kind=f"95 % bootstrap of {rounds} rounds",
        notes=(f"medians {ours_ms:.0f} ms and {bare_ms:.0f} ms",),
    )
