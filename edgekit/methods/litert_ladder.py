"""The ladder: remedies against what INT8 costs, cheap ones first, each on top of those before it.

Every rung is an artefact of its own, measured on the dev samples against the float graph; the best
is kept, whichever that is. A rung that cannot be made is named with its reason and left out, so a
run with remedies never ends worse, on dev, than one without.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from edgekit.cache import content_key
from edgekit.choose import CLEAR_DB, Candidate, Choice, Samples, choose
from edgekit.errors import ConversionError, MissingError, SessionError
from edgekit.methods.litert_build import Built, build, build_equalized, rebuild
from edgekit.methods.litert_mixed import raised
from edgekit.methods.method import QuantizeJob
from edgekit.numerics.fidelity import fidelity, same_class, top1_drop
from edgekit.optimize.solve import evenly, warm_up
from edgekit.runtimes import open_session
from edgekit.runtimes.child import Succession
from edgekit.runtimes.predict import Predictions, predict
from edgekit.tflite.graph import parse_graph
from edgekit.types import Sample

Warn = Callable[[str], None]

if TYPE_CHECKING:
    from edgekit.data import Dataset
    from edgekit.recipe.schema import QuantizeSpec

RAISED = "raised"
_GRAPH, _NEAREST = "graph.tflite", "nearest.json"
# Raise when a remedy gives something else for the same graph and samples.
_REVISION = 2
FAILURES = (ConversionError, SessionError, MissingError)


@dataclass(frozen=True)
class Effort:
    """How far up, and on how many samples: ``dev`` to measure a rung, the others to learn from.

    ``estimators`` are tried beside the recipe's own; without ``rounding`` weights are rounded to
    the nearest.
    """

    dev: int
    estimators: tuple[str, ...]
    biases: int
    rounding: int | None


_BEST = Effort(1000, ("minmax", "mean_minmax", "percentile", "mse"), 32, 100)
EFFORTS: dict[str, Effort] = {
    "balanced": Effort(48, (), 12, None),
    "best": _BEST,
    "auto": _BEST,
}
"""Values of ``quantize.effort`` beside ``fast``, which has no ladder."""


@dataclass(frozen=True)
class Climbed:
    """The rung that was kept, and all of them side by side; ``warnings`` were said already."""

    best: Built
    choice: Choice
    warnings: tuple[str, ...]


def climb(job: QuantizeJob, ground: Built, dataset: Dataset) -> Climbed:
    """Up from ``ground``, as far as ``job.options.effort`` allows; with ``auto`` until what the
    recipe asks for holds on ``dataset``, the dev samples, with a margin.

    Raises:
        SessionError: the float graph fails, or no rung can be run.
        ConversionError: no rung can be made.
    """
    effort = EFFORTS[job.options.effort]
    if job.options.per_channel:
        # Remedies come, and importing torch takes seconds in which the first rungs can be run.
        Thread(target=warm_up, daemon=True).start()
    dev = [dataset.sample(i) for i in evenly(len(dataset), effort.dev)]
    on = Samples(dataset.role.value, dataset.name, len(dev))
    with (
        open_session(job.model.value, threads=job.threads) as session,
        job.progress.task("Running the float graph on the dev samples", len(dev)) as bar,
    ):
        reference = predict(session, dev, task=bar)
    found: list[Candidate] = []
    made: dict[str, Built] = {}
    best, built_on = ground, list[Candidate]()
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        job.progress.warn(text)

    def measure(name: str, built: Built) -> Candidate:
        return _measured(job, name, built, dev, reference, running)

    def raise_layers(job: QuantizeJob, before: Built, warn: Warn) -> Built | None:
        remedies = [
            partial(remedy, job, warn=warn) for remedy in _remedies(job.options, effort).values()
        ]
        return raised(job, before, partial(measure, RAISED), warn, remedies)

    with closing(Succession(threads=job.threads)) as running:
        for rung in (*_rungs(job.options, effort), Rung(RAISED, raise_layers)):
            start = time.perf_counter()
            try:
                reached = rung.climb(job, best, warn)
                if reached is None:
                    continue
                candidate = measure(rung.name, reached)
            except FAILURES as error:
                hint = f" ({error.hint})" if error.hint else ""
                warn(f"rung {rung.name} is left out: {error.message}{hint}")
                found.append(Candidate(rung.name, _since(start), error=error.message))
                continue
            candidate = replace(candidate, seconds=_since(start))
            found.append(candidate)
            made[rung.name] = reached
            if not built_on or not rung.apart or _is_clearly_better(candidate, built_on, on):
                groundwork = rung.groundwork and not _is_clearly_worse(candidate, built_on, on)
                built_on = [candidate] if groundwork else [*built_on, candidate]
            best = made[choose("rung", built_on, on).chosen]
            enough = any(not each.broken for each in found if each.error is None)
            if enough and job.goal.asks and job.options.effort == "auto":
                break
    if not made:
        raise ConversionError(
            f"no rung of the ladder could be made; the first: {found[0].error}",
            hint="quantize.effort: fast makes no attempt to mend anything.",
        )
    choice = choose("rung", found, on)
    return Climbed(made[choice.chosen], choice, tuple(warnings))


@dataclass(frozen=True)
class Rung:
    """``climb`` goes on from the best so far; ``None`` where there is nothing for it to do.
    ``apart``: others are built upon it only where it is clearly better. ``groundwork``: they are
    built upon it, and no more on what came before, unless it is clearly worse."""

    name: str
    climb: Callable[[QuantizeJob, Built, Warn], Built | None]
    apart: bool = False
    groundwork: bool = False


def _is_clearly_better(candidate: Candidate, others: Sequence[Candidate], on: Samples) -> bool:
    """A range that clips takes away what no later remedy gives back, so half a decibel is no reason
    to leave the recipe's estimator."""
    chosen = choose("rung", [*others, candidate], on)
    most = max(each.primary_db for each in others)
    return chosen.chosen == candidate.name and candidate.primary_db >= most + CLEAR_DB


def _is_clearly_worse(candidate: Candidate, others: Sequence[Candidate], on: Samples) -> bool:
    """What equalizing wins shows once biases are corrected: on MobileNetV2 it is alike within
    0.1 dB before, and more than 1 dB better behind them."""
    if not others:
        return False
    chosen = choose("rung", others, on).chosen
    kept = next(each for each in others if each.name == chosen)
    between = choose("rung", [kept, candidate], on)
    if between.chosen == candidate.name:
        return False
    quieter = kept.primary_db - candidate.primary_db > CLEAR_DB
    return quieter or between.by in ("promise", "agreement")


def _rungs(options: QuantizeSpec, effort: Effort) -> Iterator[Rung]:
    """From the cheapest on. Estimators come before what is computed with their ranges."""
    yield Rung("ranges", lambda job, ground, warn: ground)
    for estimator in effort.estimators:
        if estimator != options.estimator:
            climb = partial(_estimated, estimator=estimator)
            yield Rung(f"ranges {estimator}", climb, apart=True)
    if options.per_channel:
        yield Rung("equalized", _equalized, groundwork=True)
    for name, remedy in _remedies(options, effort).items():
        yield Rung(name, remedy)


def _remedies(options: QuantizeSpec, effort: Effort) -> Mapping[str, Callable[..., Built]]:
    """What makes up for the rounding of weights, the cheapest first."""
    if not options.per_channel:
        return {}  # the grids that they round to are by channel
    remedies = {"biases": partial(_solved, feedback=False, samples=effort.biases)}
    if effort.rounding is not None:
        remedies["rounded"] = partial(_solved, feedback=True, samples=effort.rounding)
    return remedies


def _estimated(job: QuantizeJob, before: Built, warn: Warn, *, estimator: str) -> Built:
    return build(job, before.reference, estimator)


def _equalized(job: QuantizeJob, before: Built, warn: Warn) -> Built | None:
    return build_equalized(job, before)


def _solved(job: QuantizeJob, before: Built, warn: Warn, *, feedback: bool, samples: int) -> Built:
    from edgekit.optimize.solve import solved

    def make(folder: Path) -> None:
        doing = "Rounding weights" if feedback else "Correcting biases"
        with job.progress.task(doing, len(parse_graph(before.reference).ops)) as bar:
            found = solved(
                before.reference,
                before.quantized,
                [job.calibration.sample(i) for i in evenly(len(job.calibration), samples)],
                feedback=feedback,
                seed=job.options.seed,
                advance=bar.advance,
            )
        (folder / _GRAPH).write_bytes(found.data)
        (folder / _NEAREST).write_text(json.dumps(dict(found.nearest)), encoding="utf-8")

    folder = _remedy(job, before, "round" if feedback else "biases", samples, make)
    for layer, why in json.loads((folder / _NEAREST).read_text(encoding="utf-8")).items():
        warn(f"{layer} is rounded to the nearest: {why}")
    return rebuild(job, before, (folder / _GRAPH).read_bytes())


def _remedy(
    job: QuantizeJob, before: Built, name: str, samples: int, make: Callable[[Path], None]
) -> Path:
    """The folder of what ``make`` writes, from the cache where it is the same."""
    from edgekit.optimize.solve import MEMORY_MAX, torch_version

    key = content_key(
        {
            "remedy": name,
            "graph": hashlib.sha256(before.reference).hexdigest(),
            "quantized": hashlib.sha256(before.quantized).hexdigest(),
            "dataset": job.calibration.fingerprint,
            "samples": samples,
            "memory": MEMORY_MAX,
            "seed": job.options.seed,
            "torch": torch_version(),
            "revision": _REVISION,
        }
    )
    return job.cache.get_or_make("remedies", key, make).path


def _measured(
    job: QuantizeJob,
    name: str,
    made: Built,
    dev: Sequence[Sample],
    reference: Predictions,
    running: Succession,
) -> Candidate:
    """The figures of one rung on dev; its file is run where a crash can be survived."""
    file = job.folder / "rung.tflite"
    file.write_bytes(made.quantized)
    try:
        with (
            running.opened(file) as session,
            job.progress.task(f"Running {name} on the dev samples", len(dev)) as bar,
        ):
            answers = predict(session, dev, task=bar)
    finally:
        file.unlink()
    primary = job.goal.primary
    compared = fidelity(reference, answers, primary=primary, classification=False)
    agreeing = drop = None
    if job.goal.classification:
        before, after = reference.outputs[primary], answers.outputs[primary]
        agreeing = same_class(before, after)
        drop = None if reference.labels is None else top1_drop(before, after, reference.labels)
    figures = Candidate(
        name,
        0.0,
        agreeing=agreeing,
        top1_drop=drop,
        sqnr_db={output: figures.sqnr_db for output, figures in compared.outputs.items()},
        size_bytes=len(made.quantized),
    )
    # Of two rungs the one that keeps the limits is better, whatever else is said of them.
    if job.goal.asks and not job.goal.holds(figures):
        return replace(figures, broken=("the recipe's limits do not hold on dev with a margin",))
    return figures


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
