"""Every file of the sweep, made and judged; by as many processes as there are cores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from os import getloadavg
from pathlib import Path
from typing import Any

from benchmarks.context import say
from benchmarks.damage.calibrations import CALIBRATIONS, as_they_are, recalibrated
from benchmarks.damage.files import DAMAGES, damaged
from benchmarks.damage.table import UNDAMAGED
from benchmarks.damage.unseen import Unseen, unseen
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


def sweep(
    run_dir: Path,
    seeds: int,
    undamaged: int,
    only: Sequence[str],
    save: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """As JSON values: ``rows``, one a file, and ``unseen``. ``save`` gets what there is after each
    seed."""
    recipe = recipe_of_run(run_dir)
    bench = Bench(recipe, run_dir, SIZES)
    rows: list[dict[str, Any]] = []
    known: dict[str, Judged] = {}
    found: dict[str, Any] = {"rows": rows, "unseen": []}
    with ProcessPoolExecutor(
        usable_cores(), get_context("spawn"), initializer=_open, initargs=(recipe, run_dir)
    ) as pool:
        for seed in range(max(seeds, undamaged)):
            files = []
            if seed < undamaged:
                files.append(_undamaged(recipe, bench, seed))
            if seed < seeds:
                files += _damaged(recipe, bench, seed, only)
            keys = [sha256(file.content).hexdigest() for file in files]
            new = {
                key: pool.submit(_judge, file.content, file.draws, seed)
                for key, file in zip(keys, files, strict=True)
                if key not in known
            }
            for key, file in zip(keys, files, strict=True):
                if key not in known:
                    known[key] = new[key].result()
                say(f"{file.name} {file.severity:g}, seed {seed}: {known[key].lost:+.4f}")
                place = {"name": file.name, "severity": file.severity, "seed": seed}
                rows.append({**place, **_as_json(known[key])})
            save(found)
    say("recipes with mistakes")
    found["unseen"] = [_as_json(each) for each in unseen(bench)]
    found["load_average_after"] = getloadavg()
    save(found)
    return found


@dataclass(frozen=True)
class _File:
    name: str
    severity: float
    content: bytes
    draws: int = 0


def _undamaged(recipe: Recipe, bench: Bench, seed: int) -> _File:
    usual = recipe.calibration.samples
    content = recalibrated(recipe, bench.made, usual, as_they_are, seed)
    return _File(UNDAMAGED, 0, content, DRAWS)


def _damaged(recipe: Recipe, bench: Bench, seed: int, only: Sequence[str]) -> Iterator[_File]:
    usual = recipe.calibration.samples
    for name in only:
        if name in DAMAGES:
            for severity in DAMAGES[name].severities:
                yield _File(name, severity, damaged(bench.undamaged, name, severity, seed))
            continue
        for severity in CALIBRATIONS[name].severities:
            samples, pixels = CALIBRATIONS[name].take(severity, usual)
            content = recalibrated(recipe, bench.made, samples, pixels, seed)
            yield _File(name, severity, content)


def _as_json(found: Judged | Unseen) -> dict[str, Any]:
    """As a file would give it back: its keys are texts."""
    return dict(json.loads(json.dumps(asdict(found))))


def _open(recipe: Recipe, run_dir: Path) -> None:
    _bench.append(Bench(recipe, run_dir, SIZES))


def _judge(data: bytes, draws: int, seed: int) -> Judged:
    return _bench[0].judge(data, draws, seed)
