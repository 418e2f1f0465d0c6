"""The ladder: remedies against what INT8 costs, cheap ones first, each on top of those before it.

Every rung is an artefact of its own, measured on the dev samples against the float graph; the best
is kept, whichever that is. A rung that cannot be made is named with its reason and left out, so a
run with remedies never ends worse, on dev, than one without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from edgekit.choose import Candidate, Choice, Samples, choose
from edgekit.errors import ConversionError, MissingError, SessionError
from edgekit.methods.litert_build import Built, build, rebuild
from edgekit.methods.method import QuantizeJob
from edgekit.numerics.fidelity import fidelity, same_class
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import Predictions, predict
from edgekit.tflite.graph import parse_graph

if TYPE_CHECKING:
    from edgekit.data import Dataset
    from edgekit.recipe.schema import QuantizeSpec

AUTO = "auto"
FAILURES = (ConversionError, SessionError, MissingError)
ROUNDING_SAMPLES = 100
BIAS_SAMPLES = 24
EQUALIZE_SAMPLES = 32


@dataclass(frozen=True)
class Climbed:
    """The rung that was kept, and all of them side by side."""

    best: Built
    choice: Choice


def climb(job: QuantizeJob, ground: Built) -> Climbed:
    """Up from ``ground``, as far as ``job.options.effort`` allows; with ``auto`` until what the
    recipe asks for holds on dev with a margin.

    Raises:
        SessionError: the float graph fails, or no rung can be run.
        ConversionError: no rung can be made.
    """
    dev = job.open_dev()
    on = Samples(dev.role.value, dev.name, len(dev))
    with (
        open_session(job.model.value, threads=job.threads) as session,
        job.progress.task("Running the float graph on the dev samples", len(dev)) as bar,
    ):
        reference = predict(session, dev, task=bar)
    found: list[Candidate] = []
    made: dict[str, Built] = {}
    best = ground
    for rung in _rungs(job.options):
        start = time.perf_counter()
        try:
            reached = rung.climb(job, best)
            if reached is None:
                continue
            candidate = _measured(job, rung.name, reached, dev, reference)
        except FAILURES as error:
            job.progress.warn(f"{rung.name}: left out: {error.message}")
            found.append(Candidate(rung.name, _since(start), error=error.message))
            continue
        found.append(replace(candidate, seconds=_since(start)))
        made[rung.name] = reached
        best = made[choose("rung", found, on).chosen]
        if job.options.effort == AUTO and job.goal.holds(candidate.agreement, candidate.primary_db):
            break
    if not made:
        raise ConversionError(
            f"no rung of the ladder could be made; the first: {found[0].error}",
            hint="quantize.effort: fast makes no attempt to mend anything.",
        )
    choice = choose("rung", found, on)
    return Climbed(made[choice.chosen], choice)


@dataclass(frozen=True)
class Rung:
    """``climb`` goes on from the best so far; ``None`` where there is nothing for it to do."""

    name: str
    climb: Callable[[QuantizeJob, Built], Built | None]


def _rungs(options: QuantizeSpec) -> Iterator[Rung]:
    yield Rung("ranges", lambda job, ground: ground)
    if not options.per_channel:
        return  # the grids that the others round to are by channel
    yield Rung("equalized", _equalized)
    yield Rung("bias", partial(_solved, feedback=False, most=BIAS_SAMPLES))
    if options.effort != "balanced":
        yield Rung("rounded", partial(_solved, feedback=True, most=ROUNDING_SAMPLES))


def _equalized(job: QuantizeJob, before: Built) -> Built | None:
    from edgekit.optimize.solve import equalized

    with job.progress.task("Equalizing channels"):
        data = equalized(before.reference, job.calibration, EQUALIZE_SAMPLES)
    return None if data is None else build(job, data, before.estimator)


def _solved(job: QuantizeJob, before: Built, *, feedback: bool, most: int) -> Built:
    from edgekit.optimize.solve import solved, spread

    doing = "Rounding weights" if feedback else "Correcting biases"
    with job.progress.task(doing, len(parse_graph(before.reference).ops)) as bar:
        found = solved(
            before.reference,
            before.quantized,
            spread(job.calibration, len(job.calibration), most),
            feedback=feedback,
            seed=job.options.seed,
            advance=bar.advance,
        )
    for layer, why in found.nearest.items():
        job.progress.warn(f"{layer} is rounded to the nearest: {why}")
    return rebuild(job, before, found.data)


def _measured(
    job: QuantizeJob, name: str, made: Built, dev: Dataset, reference: Predictions
) -> Candidate:
    """The figures of one rung on dev; its file is run where a crash can be survived."""
    file = job.folder / "rung.tflite"
    file.write_bytes(made.quantized)
    try:
        with (
            open_session(file, threads=job.threads, isolated=True) as session,
            job.progress.task(f"Running {name} on the dev samples", len(dev)) as bar,
        ):
            answers = predict(session, dev, task=bar)
    finally:
        file.unlink()
    primary = job.goal.primary
    compared = fidelity(reference, answers, primary=primary, classification=False)
    return Candidate(
        name,
        0.0,
        agreeing=(
            same_class(reference.outputs[primary], answers.outputs[primary])
            if job.goal.classification
            else None
        ),
        sqnr_db={output: figures.sqnr_db for output, figures in compared.outputs.items()},
        size_bytes=len(made.quantized),
    )


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
