"""``quantize.method: auto``: make every candidate, measure each on dev, keep the best.

The others stay beside it, to be measured with it; what could not be made is named with its reason.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from edgekit.choose import Candidate, Choice, Samples, choose
from edgekit.data import Dataset
from edgekit.errors import ConversionError, EdgekitError, MissingError, SessionError
from edgekit.gate.check import Status
from edgekit.gate.limits import check_promise
from edgekit.measure.candidates import OnDev, measure_on_dev
from edgekit.methods import METHODS
from edgekit.methods.method import Quantized
from edgekit.runs.run import Run
from edgekit.sources.source import SourceModel
from edgekit.types import Artefact, ArtefactFacts

Attempt = Callable[[Path], Quantized]
"""Makes an artefact in the folder given, raising one of ``FAILURES`` where it cannot."""
FAILURES = (ConversionError, SessionError, MissingError)
"""What one candidate may fail of without the others; a mistake of the user's would meet all."""


def best_on_dev(
    run: Run, source: SourceModel, dev: Dataset, attempts: Mapping[str, Attempt], folder: Path
) -> tuple[Quantized, Choice]:
    """The best of what ``attempts`` (by method) make, written into ``folder``, and why it is.

    Raises:
        ConversionError: none of them made anything; every reason is given.
        MissingError: none of them could even start.
    """
    made: dict[str, Quantized] = {}
    seconds: dict[str, float] = {}
    failed: dict[str, EdgekitError] = {}
    for name, attempt in attempts.items():
        start, own = time.perf_counter(), folder / name
        own.mkdir()
        try:
            made[name] = attempt(own)
        except FAILURES as error:
            failed[name] = error
        seconds[name] = round(time.perf_counter() - start, 3)
    figures: dict[str, OnDev] = {}
    if len(made) > 1:
        artefacts = {name: quantized.artefact for name, quantized in made.items()}
        for name, found in measure_on_dev(run, source, dev, artefacts).items():
            if isinstance(found, OnDev):
                figures[name] = found
            else:
                failed[name] = found
    if len(failed) == len(attempts):
        raise _nothing_made(failed)
    choice = choose(
        "method",
        [
            _candidate(run, name, seconds[name], failed.get(name), figures.get(name))
            for name in attempts
        ],
        Samples(dev.role.value, dev.name, len(dev)) if figures else None,
    )
    for name, reason in failed.items():
        run.warn(f"{name} came to nothing, so {choice.chosen} was taken: {reason.message}")
    left = {name: quantized for name, quantized in made.items() if name not in failed}
    kept = _place(left, choice.chosen, folder)
    for name in attempts:
        shutil.rmtree(folder / name)
    return kept, choice


def _candidate(
    run: Run, name: str, seconds: float, error: EdgekitError | None, figures: OnDev | None
) -> Candidate:
    if error is not None:
        return Candidate(name, seconds, error=error.message)
    if figures is None:
        return Candidate(name, seconds)
    facts = figures.facts
    return Candidate(
        name,
        seconds,
        agreeing=figures.agreeing,
        sqnr_db=figures.sqnr_db,
        size_bytes=figures.size_bytes,
        float_ops=None if facts.float_ops is None else len(facts.float_ops),
        broken=_broken(run, name, facts),
    )


def _broken(run: Run, name: str, facts: ArtefactFacts) -> tuple[str, ...]:
    """What the gate would say of the file itself."""
    checks = check_promise(
        run.recipe.gate,
        run.recipe.quantize,
        promises_full_integer=METHODS[name].full_integer,
        facts=facts,
    )
    return tuple(f"{check.name}: {check.why}" for check in checks if check.status != Status.PASS)


def _place(made: Mapping[str, Quantized], chosen: str, folder: Path) -> Quantized:
    """The chosen one as ``model.<format>`` in ``folder``, the others as ``model.<method>.<format>``
    and its alternatives."""
    best = made[chosen]
    alternatives = {
        name: _moved(other, folder / other.path.name) for name, other in best.alternatives.items()
    }
    for name, other in made.items():
        if name != chosen:
            file = folder / f"model.{name}.{other.artefact.format.value}"
            alternatives[name] = _moved(other.artefact, file)
    artefact = _moved(best.artefact, folder / best.artefact.path.name)
    return replace(best, artefact=artefact, alternatives=alternatives)


def _moved(artefact: Artefact, file: Path) -> Artefact:
    os.replace(artefact.path, file)
    return replace(artefact, path=file)


def _nothing_made(failed: Mapping[str, EdgekitError]) -> EdgekitError:
    if all(isinstance(error, MissingError) for error in failed.values()):
        return next(iter(failed.values()))
    by_reason: dict[str, list[str]] = {}  # what one converter refuses, its other methods do too
    for name, error in failed.items():
        by_reason.setdefault(error.message, []).append(name)
    reasons = "".join(f"\n  {', '.join(names)}: {why}" for why, names in by_reason.items())
    hints = dict.fromkeys(error.hint for error in failed.values() if error.hint)
    return ConversionError(
        f"none of the methods that auto tries could quantize the model:{reasons}",
        hint="\n".join(hints) or None,
    )
