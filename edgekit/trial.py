"""Of several candidates the best: make each, measure it on dev, keep one.

The others stay beside it, to be measured with it; what could not be made is named with its reason.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.bridges.verify import Hop
from edgekit.choose import Candidate, Choice, Samples, choose
from edgekit.data import Dataset
from edgekit.errors import EdgekitError
from edgekit.gate.check import Status
from edgekit.gate.limits import check_promise
from edgekit.measure.candidates import OnDev, measure_on_dev, time_on_dev
from edgekit.methods import METHODS
from edgekit.methods.method import Quantized
from edgekit.plan import Plan
from edgekit.reach import FAILURES, nothing_left
from edgekit.runs.run import Run
from edgekit.sources.source import SourceModel
from edgekit.types import Array, Artefact, ArtefactFacts


@dataclass(frozen=True)
class Attempt:
    """A candidate to be made. ``hops`` were verified on the way to its method; ``make`` writes an
    artefact into the folder given, raising one of ``FAILURES`` where it cannot."""

    plan: Plan
    hops: tuple[Hop, ...]
    make: Callable[[Path], Quantized]


@dataclass(frozen=True)
class Kept:
    """The attempt that won, what it made, and why it did."""

    attempt: Attempt
    quantized: Quantized
    choice: Choice


def best_on_dev(
    run: Run,
    source: SourceModel,
    dev: Dataset,
    of: str,
    attempts: Sequence[Attempt],
    folder: Path,
) -> Kept:
    """The best of what ``attempts`` make, written into ``folder``, and why it is; ``of`` is what
    they differ in (see ``Plans``).

    Raises:
        ConversionError: none of them made anything; every reason is given.
        MissingError: none of them could even start.
    """
    by_name = {attempt.plan.name: attempt for attempt in attempts}
    made: dict[str, Quantized] = {}
    seconds: dict[str, float] = {}
    failed: dict[str, EdgekitError] = {}
    for name, attempt in by_name.items():
        start, own = time.perf_counter(), folder / attempt.plan.slug
        own.mkdir()
        try:
            made[name] = attempt.make(own)
        except FAILURES as error:
            failed[name] = error
        seconds[name] = round(time.perf_counter() - start, 3)
    figures: dict[str, OnDev] = {}
    times: Mapping[str, Array] = {}
    if len(made) > 1:
        artefacts = {name: quantized.artefact for name, quantized in made.items()}
        for name, found in measure_on_dev(run, source, dev, artefacts).items():
            if isinstance(found, OnDev):
                figures[name] = found
            else:
                failed[name] = found
        if of != "method" and len(figures) > 1 and run.recipe.latency.enabled:
            times = time_on_dev(run, dev, {name: artefacts[name] for name in figures})
    if len(failed) == len(attempts):
        tried = (way for attempt in attempts for way in attempt.plan.ways)
        raise nothing_left(
            f"none of the {of}s that auto tries could quantize the model", failed, tried
        )
    choice = choose(
        of,
        [
            _candidate(
                run,
                attempt,
                seconds[name],
                failed.get(name),
                figures.get(name),
                times.get(name),
            )
            for name, attempt in by_name.items()
        ],
        Samples(dev.role.value, dev.name, len(dev)) if figures else None,
    )
    for name, reason in failed.items():
        run.warn(f"{name} came to nothing, so {choice.chosen} was taken: {reason.message}")
    left = {by_name[name]: quantized for name, quantized in made.items() if name not in failed}
    kept = _place(left, by_name[choice.chosen], folder)
    for attempt in attempts:
        shutil.rmtree(folder / attempt.plan.slug)
    return Kept(by_name[choice.chosen], kept, choice)


def _candidate(
    run: Run,
    attempt: Attempt,
    seconds: float,
    error: EdgekitError | None,
    figures: OnDev | None,
    round_ms: Array | None,
) -> Candidate:
    base = Candidate(attempt.plan.name, seconds, hops=attempt.hops)
    if error is not None:
        return replace(base, error=error.message)
    if figures is None:
        return base
    facts = figures.facts
    return replace(
        base,
        agreeing=figures.agreeing,
        sqnr_db=figures.sqnr_db,
        size_bytes=figures.size_bytes,
        ops=facts.ops,
        float_ops=None if facts.float_ops is None else len(facts.float_ops),
        transposes=facts.transposes,
        round_ms=round_ms,
        broken=_broken(run, attempt.plan.method, facts),
    )


def _broken(run: Run, method: str, facts: ArtefactFacts) -> tuple[str, ...]:
    """What the gate would say of the file itself."""
    checks = check_promise(
        run.recipe.gate,
        run.recipe.quantize,
        promises_full_integer=METHODS[method].full_integer,
        facts=facts,
    )
    return tuple(f"{check.name}: {check.why}" for check in checks if check.status != Status.PASS)


def _place(made: Mapping[Attempt, Quantized], chosen: Attempt, folder: Path) -> Quantized:
    """The chosen one as ``model.<format>`` in ``folder``, the others as ``model.<slug>.<format>``
    and its alternatives."""
    best = made[chosen]
    alternatives = {
        name: _moved(other, folder / other.path.name) for name, other in best.alternatives.items()
    }
    for attempt, other in made.items():
        if attempt is not chosen:
            file = folder / f"model.{attempt.plan.slug}.{other.artefact.format.value}"
            alternatives[attempt.plan.name] = _moved(other.artefact, file)
    artefact = _moved(best.artefact, folder / best.artefact.path.name)
    return replace(best, artefact=artefact, alternatives=alternatives)


def _moved(artefact: Artefact, file: Path) -> Artefact:
    os.replace(artefact.path, file)
    return replace(artefact, path=file)
