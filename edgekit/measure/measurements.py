"""Everything measured about one artefact against the model it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice

from edgekit.artefact import inspect_artefact, open_artefact, open_timed_artefact
from edgekit.cache import file_sha256
from edgekit.data.roles import RunData
from edgekit.environments import open_environment
from edgekit.errors import EdgekitError, MissingError, SessionError, UsageError, WorkerError
from edgekit.measure.accuracy import clusters_of, measure_accuracy
from edgekit.measure.evaluation import Answers, Broken, Model, evaluate
from edgekit.measure.evidence import Answered, Changes, Evidence, class_changes
from edgekit.measure.host import Host, this_host
from edgekit.measure.latency import HostLatency, measure_pair
from edgekit.measure.layers import layer_errors
from edgekit.measure.memory import Memory, measure_memory
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
from edgekit.runtimes.crew import ModelFile
from edgekit.runtimes.parts import told
from edgekit.runtimes.predict import Predictions, predict, stored_feeds
from edgekit.sources.source import SourceModel
from edgekit.tasks import task_named
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import Artefact, ArtefactFacts, ArtefactFormat, ModelKind

LAYER_SAMPLES = 8
"""What layers are compared on in a run: enough for a plot; ``edgekit debug`` takes more."""
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
    memory: Memory | NotMeasured | None = None
    """``None`` where the recipe does not limit it."""
    failed: tuple[str, ...] = ()
    """What was wrong with each labelled sample that could not be read, and was left out."""
    evidence: Evidence = field(default_factory=Evidence)
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
    references, failed = _reference(run, source, data)
    answers = _answers(run, artefact, data, "Running the quantized model")
    compared, accuracy = _compare(run, source, data, references, answers)
    _qualify(run, accuracy.get("top1"))
    size = _size(baseline, artefact)
    _remark_on_growth(run, size)
    latency = _time(run, baseline, artefact, data)
    return Measurements(
        facts=facts,
        size=size,
        fidelity=compared,
        accuracy=accuracy,
        latency=latency,
        host=this_host(),
        alternatives={
            name: Alternative(
                _size(baseline, other),
                *_compare(
                    run,
                    source,
                    data,
                    references,
                    _answers(run, other, data, f"Running the alternative: {name}"),
                ),
            )
            for name, other in alternatives.items()
        },
        older_runtime=_on_older_runtime(run, source, artefact, data, references[0]),
        memory=_weigh(run, artefact, data),
        failed=failed,
        evidence=replace(
            _layers(run, baseline, artefact, data),
            changes=_changes(run, source, data, references, answers),
            times=latency.raw if isinstance(latency, HostLatency) else None,
        ),
        devices=measure_on_devices(run, baseline, artefact, data.fidelity),
    )


def _size(baseline: SourceModel, artefact: Artefact) -> Size:
    return compare_size(baseline.size_bytes, artefact.path.stat().st_size)


def _reference(
    run: Run, source: SourceModel, data: RunData
) -> tuple[tuple[Predictions, ...], tuple[str, ...]]:
    """The float model's answers to the samples of the comparison, and to the labelled ones where
    there are any; and what was wrong with those that could not be read."""
    with run.stage("reference") as stage, ExitStack() as opened:
        # One session for both, opened where one of them is not in the cache.
        session = cache(lambda: opened.enter_context(source.open_session(run.threads)))
        references, stage.cached = reference_predictions(
            source,
            [data.fidelity],
            threads=run.threads,
            cache=run.cache,
            progress=run.progress,
            open_session=session,
        )
        if data.labelled is None:
            return references, ()
        file = None
        if source.kind is ModelKind.FLOAT_TFLITE:
            file = ModelFile(source.files["model"], "litert")
        key = {"model": source.fingerprint, "inputs": source.inputs, "outputs": source.outputs}
        doing = "Running the float model on the labelled samples"
        found = _evaluate(run, Model(key, lambda: nullcontext(session()), file), data, doing)
        stage.cached = stage.cached and found.cached
    if found.failed:
        run.warn(
            f"{len(found.failed)} of {len(data.labelled)} labelled samples could not be read, and "
            f"are not scored: {told(found.failed)}"
        )
    return (*references, found.predictions), found.failed


def _answers(run: Run, artefact: Artefact, data: RunData, doing: str) -> list[Predictions]:
    """The artefact's answers to the same."""
    with (
        run.stage("fidelity"),
        open_artefact(artefact, threads=run.threads) as session,
    ):
        with run.progress.task(doing, len(data.fidelity)) as bar:
            answers = [predict(session, data.fidelity, task=bar)]
        if data.labelled is not None:
            key = {"model": file_sha256(artefact.path), "runtime": session.info.runtime}
            model = Model(
                {**key, "version": session.info.version},
                lambda: nullcontext(session),
                # Workers know the file's own names alone.
                None if artefact.renamed else ModelFile(artefact.path, artefact.runtime),
            )
            answers.append(
                _evaluate(run, model, data, f"{doing} on the labelled samples").predictions
            )
    return answers


def _evaluate(run: Run, model: Model, data: RunData, doing: str) -> Answers:
    assert data.labelled is not None
    spec = run.recipe.evaluate
    return evaluate(
        model,
        data.labelled,
        workers=run.threads,
        broken=Broken(skip=spec.on_broken == "skip", share=spec.broken_max),
        cache=run.cache,
        progress=run.progress,
        doing=doing,
    )


def _compare(
    run: Run,
    source: SourceModel,
    data: RunData,
    references: Sequence[Predictions],
    answers: Sequence[Predictions],
) -> tuple[Fidelity, Mapping[str, MetricAccuracy]]:
    task, primary = task_named(run.recipe.evaluate.task), source.outputs[0]
    compared = fidelity(
        references[0], answers[0], primary=primary, classification=task.classification
    )
    if data.labelled is None:
        return compared, {}
    spec = run.recipe.evaluate
    clusters = clusters_of(data.labelled, references[1])
    return compared, measure_accuracy(
        spec, references[1], answers[1], primary=primary, clusters=clusters
    )


def _changes(
    run: Run,
    source: SourceModel,
    data: RunData,
    references: Sequence[Predictions],
    answers: Sequence[Predictions],
) -> tuple[Changes, ...]:
    """The labelled samples come first: of those it is known which answer was right."""
    if not task_named(run.recipe.evaluate.task).classification:
        return ()
    answered = [Answered("fidelity", data.fidelity, references[0], answers[0])]
    if data.labelled is not None:
        answered.insert(0, Answered("labelled", data.labelled, references[1], answers[1]))
    preprocess = run.recipe.preprocess
    bgr = preprocess.kind == "image" and preprocess.colour == "BGR"
    return class_changes(answered, source.outputs[0], bgr=bgr)


def _layers(run: Run, baseline: SourceModel, artefact: Artefact, data: RunData) -> Evidence:
    """The noise along the graph. On calibration samples, which are open and decide nothing here;
    a pair that cannot be compared is no fault of the artefact's."""
    if artefact.format is not ArtefactFormat.TFLITE or baseline.kind is not ModelKind.FLOAT_TFLITE:
        return Evidence()
    if artefact.renamed:
        return Evidence(layers_why="the file was not made from the recipe's float .tflite")
    with run.stage("layers"):
        try:
            errors = layer_errors(
                baseline.files["model"].read_bytes(),
                artefact.path.read_bytes(),
                islice(data.calibration, LAYER_SAMPLES),
                run.progress,
                run.threads,
            )
        except EdgekitError as error:
            return Evidence(layers_why=error.message)
    return Evidence(layers=errors, layers_role=data.calibration.role.value)


def _on_older_runtime(
    run: Run, source: SourceModel, artefact: Artefact, data: RunData, reference: Predictions
) -> OlderRuntime | NotMeasured | None:
    if run.recipe.gate.tflite_runtime_2_14 is None:
        return None
    if artefact.format is not ArtefactFormat.TFLITE:
        return NotMeasured(f"{RUNTIME} reads .tflite, no .{artefact.format.value}")
    if artefact.renamed:
        return NotMeasured("the file calls its inputs and outputs otherwise than the recipe")
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


def _weigh(run: Run, artefact: Artefact, data: RunData) -> Memory | NotMeasured | None:
    if run.recipe.gate.peak_memory_mb_max is None:
        return None
    with run.stage("memory"), run.progress.task("Weighing the quantized model"):
        try:
            sample = next(iter(data.fidelity))
            return measure_memory(artefact, sample, threads=run.recipe.latency.threads)
        except (UsageError, SessionError) as error:
            return NotMeasured(error.message)


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
            after = opened.enter_context(open_timed_artefact(artefact, threads=spec.threads))
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
