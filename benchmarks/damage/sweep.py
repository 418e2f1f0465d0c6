"""Every file of the sweep, made and judged; by as many processes as there are cores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from multiprocessing import get_context
from os import getloadavg
from pathlib import Path
from typing import Any

from benchmarks.context import say
from benchmarks.damage.calibrations import CALIBRATIONS, as_they_are, recalibrated
from benchmarks.damage.files import DAMAGES, damaged
from benchmarks.damage.table import UNDAMAGED
from benchmarks.damage.unseen import unseen
from benchmarks.damage.verdicts import Bench, Judged
from edgekit.recipe.schema import Recipe
from edgekit.runs.manifest import recipe_of_run
from edgekit.runs.run import usable_cores

SIZES = (1000, 100)
"""Numbers of pictures besides all."""
DRAWS = 10
"""Of pictures with replacement, for each undamaged file and each number of them."""

_bench: list[Bench] = []
"""A worker's own."""


def sweep(run_dir: Path, seeds: int, undamaged: int, only: Sequence[str]) -> dict[str, Any]:
    """As JSON values: ``rows``, one a file, and ``unseen``."""
    recipe = recipe_of_run(run_dir)
    bench = Bench(recipe, run_dir, SIZES)
    say("a recipe with mistakes")
    mistakes = [asdict(each) for each in unseen(bench)]
    files = list(_files(recipe, bench, seeds, undamaged, only))
    rows: list[dict[str, Any]] = []
    known: dict[str, Future[Judged]] = {}
    with ProcessPoolExecutor(
        usable_cores(), get_context("spawn"), initializer=_open, initargs=(recipe, run_dir)
    ) as pool:
        for name, _, seed, data in files:
            key = sha256(data).hexdigest()
            if key not in known:
                draws = DRAWS if name == UNDAMAGED else 0
                known[key] = pool.submit(_judge, data, draws, seed)
        say(f"{len(files)} files, {len(known)} of them different")
        for name, severity, seed, data in files:
            judged = known[sha256(data).hexdigest()].result()
            say(f"{name} {severity:g}, seed {seed}: {judged.lost:+.4f}, {judged.verdicts}")
            rows.append({"name": name, "severity": severity, "seed": seed, **asdict(judged)})
    found: dict[str, Any] = {
        "load_average_after": getloadavg(),
        "rows": rows,
        "unseen": mistakes,
    }
    return dict(json.loads(json.dumps(found)))  # whose keys are texts, as of a file


def _files(
    recipe: Recipe, bench: Bench, seeds: int, undamaged: int, only: Sequence[str]
) -> Iterator[tuple[str, float, int, bytes]]:
    """Name, severity, seed and content."""
    usual = recipe.calibration.samples
    for seed in range(undamaged):
        content = recalibrated(recipe, bench.made, usual, as_they_are, seed)
        yield UNDAMAGED, 0, seed, content
    for name in only:
        kind = DAMAGES[name] if name in DAMAGES else CALIBRATIONS[name]
        for severity in kind.severities:
            for seed in range(seeds):
                if name in DAMAGES:
                    content = damaged(bench.undamaged, name, severity, seed)
                else:
                    samples, pixels = CALIBRATIONS[name].take(severity, usual)
                    content = recalibrated(recipe, bench.made, samples, pixels, seed)
                yield name, severity, seed, content


def _open(recipe: Recipe, run_dir: Path) -> None:
    _bench.append(Bench(recipe, run_dir, SIZES))


def _judge(data: bytes, draws: int, seed: int) -> Judged:
    return _bench[0].judge(data, draws, seed)
