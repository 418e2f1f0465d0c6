"""The whole command: cold beside the direct script, cached beside cold, and the memory of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import direct
from benchmarks.figure import Figure, Target
from benchmarks.process import Ran, run
from benchmarks.ratio import round_ratios
from edgekit.cache import CACHE_DIR_VARIABLE, cache_folder

PACKAGES = "packages"
FINISHED = (0, 1, 3)
"""Exit codes of a run that went through, whatever its verdict."""


@dataclass(frozen=True)
class Rounds:
    """Every run by round, and where the last cold and the last direct one left their files."""

    cold: tuple[Ran, ...]
    cached: tuple[Ran, ...]
    direct: tuple[Ran, ...]
    run_folder: Path
    direct_folder: Path


def run_rounds(job: direct.Job, folder: Path, rounds: int, say: Callable[[str], None]) -> Rounds:
    """Run edgekit cold, edgekit again on what that cached, and the direct script, in turns.

    Everything fetched is there before, on both sides: what is timed is work, not a network.
    """
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job))
    ours, again, theirs = (folder / name for name in ("cold", "cached", "direct"))
    theirs.mkdir()
    script = [sys.executable, direct.__file__, str(job_file), str(theirs)]
    command = [sys.executable, "-m", "edgekit", "quantize", "--recipe", job["recipe"]]
    command += ["--set", "quantize.effort=fast"]  # the direct script knows no remedies either
    command += ["--force", "-q", "--out"]
    cold, cached, plain = [], [], []
    for number in range(rounds):
        with TemporaryDirectory() as cache:
            (Path(cache) / PACKAGES).symlink_to(cache_folder() / PACKAGES)
            env = {CACHE_DIR_VARIABLE: cache}
            if number % 2 == 1:
                plain.append(run(script))
            cold.append(run([*command, str(ours)], accept=FINISHED, env=env))
            cached.append(run([*command, str(again)], accept=FINISHED, env=env))
            if number % 2 == 0:
                plain.append(run(script))
        say(
            f"{job['recipe']} round {number + 1} of {rounds}: cold {cold[-1].seconds:.1f} s, "
            f"cached {cached[-1].seconds:.1f} s, direct {plain[-1].seconds:.1f} s"
        )
    return Rounds(tuple(cold), tuple(cached), tuple(plain), ours, theirs)


def whole_command(rounds: Rounds, recipe: str) -> list[Figure]:
    """Time of the whole command, of the second one, and peak memory."""
    cold_s, cached_s, direct_s = (
        [ran.seconds for ran in kind] for kind in (rounds.cold, rounds.cached, rounds.direct)
    )
    against_direct = round_ratios(cold_s, direct_s)
    against_first = round_ratios(cached_s, cold_s)
    kind = f"least and most of {len(cold_s)} rounds"
    return [
        Figure(
            name=f"whole command / direct script, {recipe}",
            value=against_direct.median,
            unit="x",
            target=Target("<=", 1.2),
            ci=(against_direct.low, against_direct.high),
            ci_kind=kind,
            notes=(
                f"medians {median(cold_s):.1f} s and {median(direct_s):.1f} s, whole processes; "
                f"in square brackets the {kind}",
                f"last round, edgekit: {_stages(rounds.run_folder)}",
                f"last round, direct: {_direct_stages(rounds.direct_folder)}",
            ),
        ),
        Figure(
            name=f"cached second run / first, {recipe}",
            value=against_first.median,
            unit="x",
            target=Target("<=", 0.35),
            ci=(against_first.low, against_first.high),
            ci_kind=kind,
            notes=(f"medians {median(cached_s):.1f} s and {median(cold_s):.1f} s",),
        ),
        Figure(
            name=f"peak memory of the cold command, {recipe}",
            value=max(ran.peak_bytes for ran in rounds.cold) / 2**20,
            unit="MiB",
            beside=(("the direct script", max(r.peak_bytes for r in rounds.direct) / 2**20),),
            notes=("the process and its children together",),
        ),
    ]


def read_report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _stages(folder: Path) -> str:
    stages = read_report(folder)["stages"]
    return ", ".join(f"{stage['name']} {stage['seconds']:.1f} s" for stage in stages)


def _direct_stages(folder: Path) -> str:
    seconds: dict[str, float] = json.loads((folder / "result.json").read_text())["seconds"]
    return ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
