"""Everything measured about one artefact against the model it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice

from edgekit.artefact import inspect_artefact, open_artefact
from edgekit.data import Dataset
from edgekit.data.roles import RunData
from edgekit.environments import open_environment
from edgekit.errors import MissingError, WorkerError
from edgekit.measure.accuracy import measure_accuracy
from edgekit.measure.host import Host, this_host
from edgekit.measure.latency import HostLatency, measure_pair
from edgekit.measure.older_runtime import (
    ENVIRONMENT,
    RUNTIME,
    SAMPLES,
    OlderRuntime,
    measure_older_runtime,
)
from edgekit.measure.on_devices import OnDevices, measure_on_devices
from edgekit.measure.reference import reference_predictions
from edgekit.measure.size import Size, compare_size
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.runs.run import Run
from edgekit.runtimes import open_timed
from edgekit.runtimes.predict import Predictions, predict, stored_feeds
from edgekit.sources.source import SourceModel
from edgekit.tasks import task_named
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Artefact, ArtefactFacts, ArtefactFormat

PROVEN_WITHIN = 0.02
"""An interval of the accuracy drop wider than this (two points) is called no proof."""


@dataclass(frozen=True)
class NotMeasured:
    """Stands where a figure would, with the reason there is none."""

    why: str


@dataclass(frozen=True)
class Alternative:
    """The same model made otherwise: measured beside the artefact, not judged."""

    size: Size
    fidelity: Fidelity
    accuracy: Mapping[str, MetricAccuracy]


@dataclass(frozen=True)
class Measurements:
    """What the gate judges and the report shows."""

    facts: ArtefactFacts
    size: Size
    fidelity: Fidelity
    accuracy: Mapping[str, MetricAccuracy]
    latency: HostLatency | NotMeasured
    host: Host
    alternatives: Mapping[str, Alternative]
    older_runtime: OlderRuntime | NotMeasured | None = None
    """``None`` where the recipe does not ask for it."""
    devices: tuple[OnDevices, ...] = ()
    """One for each entry of ``latency.devices``."""


def measure(
    run: Run,
    source: SourceModel,
    baseline: SourceModel,
    artefact: Artefact,
    data: RunData,
    alternatives: Mapping[str, Artefact],
) -> Measurements:
    """Measure ``artefact``, whoever made it.

    ``source`` is the model as it was trained, whose answers count; ``baseline`` the float model in
    the artefact's own format, whose size and speed it is compared with; ``alternatives`` are
    measured on the same samples.

    Raises:
        SessionError: the artefact fails or crashes its runtime.
        MismatchError: its outputs are not the source's, by name or shape.
    """
    with run.stage("inspect"):
        facts = inspect_artefact(artefact, islice(data.fidelity, 1))
    references = _reference(run, source, data)
    compared, accuracy = _compare(
        run, source, artefact, data, references, "Running the quantized model"
    )
    _qualify(run, accuracy.get("top1"))
    size = _size(baseline, artefact)
    _remark_on_growth(run, size)
    return Measurements(
        facts=facts,
        size=size,
        fidelity=compared,
        accuracy=accuracy,
        latency=_time(run, baseline, artefact, data),
        host=this_host(),
        alternatives={
            name: Alternative(
                _size(baseline, other),
                *_compare(run, source, other, data, references, f"Running the alternative: {name}"),
            )
            for name, other in alternatives.items()
        },
        older_runtime=_on_older_runtime(run, source, artefact, data, references[0]),
        devices=measure_on_devices(run, baseline, artefact, data.fidelity),
    )


def _size(baseline: SourceModel, artefact: Artefact) -> Size:
    return compare_size(baseline.size_bytes, artefact.path.stat().st_size)


def _compared_on(data: RunData) -> list[Dataset]:
    return [data.fidelity] if data.labelled is None else [data.fidelity, data.labelled]


def _reference(run: Run, source: SourceModel, data: RunData) -> tuple[Predictions, ...]:
    """The float model's answers to each of ``_compared_on``."""
    with run.stage("reference") as stage:
        references, stage.cached = reference_predictions(
            source,
            _compared_on(data),
            threads=run.threads,
            cache=run.cache,
            progress=run.progress,
        )
    return references


def _compare(
    run: Run,
    source: SourceModel,
    artefact: Artefact,
    data: RunData,
    references: Sequence[Predictions],
    doing: str,
) -> tuple[Fidelity, Mapping[str, MetricAccuracy]]:
    task, primary = task_named(run.recipe.evaluate.task), source.outputs[0]
    datasets = _compared_on(data)
    with (
        run.stage("fidelity"),
        open_artefact(artefact, threads=run.threads) as session,
        run.progress.task(doing, sum(map(len, datasets))) as bar,
    ):
        answers = [predict(session, dataset, task=bar) for dataset in datasets]
    compared = fidelity(
        references[0], answers[0], primary=primary, classification=task.classification
    )
    if data.labelled is None:
        return compared, {}
    return compared, measure_accuracy(task, references[1], answers[1], primary=primary)


def _on_older_runtime(
    run: Run, source: SourceModel, artefact: Artefact, data: RunData, reference: Predictions
) -> OlderRuntime | NotMeasured | None:
    if run.recipe.gate.tflite_runtime_2_14 is None:
        return None
    if artefact.format is not ArtefactFormat.TFLITE:
        return NotMeasured(f"{RUNTIME} reads .tflite, no .{artefact.format.value}")
    task = task_named(run.recipe.evaluate.task)
    with (
        run.stage("older runtime"),
        open_artefact(artefact, threads=run.threads) as session,
        run.progress.task(f"Running on {RUNTIME}"),
    ):
        try:
            return measure_older_runtime(
                partial(open_environment, ENVIRONMENT, run.progress),
                artefact.path,
                session,
                list(islice(data.fidelity, SAMPLES)),
                reference,
                primary=source.outputs[0],
                classification=task.classification,
            )
        except (MissingError, WorkerError) as error:
            return NotMeasured(str(error).replace("\n", "; "))


def _qualify(run: Run, top1: MetricAccuracy | None) -> None:
    """Say what the labels cannot prove, where they are few."""
    if top1 is None or top1.ci_high - top1.ci_low <= PROVEN_WITHIN:
        return
    run.note(
        f"top-1 on {top1.n} labelled samples is no proof: a drop anywhere from "
        f"{top1.ci_low * 100:+.0f} to {top1.ci_high * 100:+.0f} points fits what was seen"
    )


def _remark_on_growth(run: Run, size: Size) -> None:
    """A file that did not shrink is no fault, but nobody expects it."""
    if size.ratio >= 1:
        run.note(
            f"the quantized file is no smaller than the float one ({size.ratio:.3f} x): in a model "
            "this small the scales, operators and metadata that quantizing adds outweigh the "
            "weights it shrinks"
        )


def _time(
    run: Run, baseline: SourceModel, artefact: Artefact, data: RunData
) -> HostLatency | NotMeasured:
    spec = run.recipe.latency
    if not spec.enabled:
        return NotMeasured("latency.enabled is false")
    sample = next(iter(data.fidelity))
    with run.stage("latency"), ExitStack() as opened:
        with run.progress.task("Opening both models for timing"):  # some are compiled for it
            before = opened.enter_context(baseline.open_session(spec.threads))
            after = opened.enter_context(
                open_timed(artefact.path, threads=spec.threads, runtime=artefact.runtime)
            )
        with run.progress.task("Timing float and INT8 in turns", spec.rounds) as bar:
            timed = measure_pair(
                before,
                after,
                stored_feeds(before, sample),
                stored_feeds(after, sample),
                rounds=spec.rounds,
                runs_per_round=spec.runs_per_round,
                task=bar,
            )
    if timed.caveat is not None:
        run.note(f"host latency: {timed.caveat}")
    return timed
