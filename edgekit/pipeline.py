"""The stages of a run, in their order. No other module knows it.

make:   locate -> plan -> data -> float graph -> quantize -> metadata; of several plans (methods,
        ways over the bridges) the best on dev is kept
take:   locate -> data -> float graph, for an artefact that is there already
judge:  inspect -> fidelity -> accuracy -> latency -> memory -> gate
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgekit.bridges.verify import Hop
from edgekit.cache import Cache, content_key
from edgekit.choose import Choice
from edgekit.data import Dataset
from edgekit.data.roles import RunData, open_run_data
from edgekit.errors import DataError, EdgekitError
from edgekit.gate.baseline import check_baseline
from edgekit.gate.devices import check_devices
from edgekit.gate.limits import check_limits
from edgekit.given import given_artefact, left_float, with_ends
from edgekit.measure.latency import HostLatency
from edgekit.measure.measurements import measure
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Goal, Quantized, QuantizeJob
from edgekit.plan import Plan, make_plans
from edgekit.progress import Progress, SilentProgress
from edgekit.reach import FAILURES, Crossings, first_that_holds
from edgekit.recipe import load_recipe, recipe_to_dict
from edgekit.recipe.schema import Recipe
from edgekit.report.report import Report
from edgekit.report.saved import read_run
from edgekit.runs.folder import default_folder, run_folder
from edgekit.runs.labels import Labels, load_labels
from edgekit.runs.metadata import finish_tflite
from edgekit.runs.run import Run
from edgekit.runs.write import write_run
from edgekit.runtimes.predict import predict
from edgekit.sources import locate
from edgekit.sources.factory import exits_told
from edgekit.sources.source import SourceModel
from edgekit.tasks import task_named
from edgekit.trial import Attempt, best_on_dev
from edgekit.types import ArtefactFormat

TO_FLOAT = {ArtefactFormat.TFLITE: "litert_static", ArtefactFormat.ONNX: "ort_static"}
"""A method that starts from the float model in this format."""


@exits_told("the model's own code")
def quantize(
    recipe: Recipe | str,
    *,
    out: Path | None = None,
    force: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a recipe (or the one of that name or path) from source model to verdict.

    The run folder is ``out``, by default ``runs/<recipe>/<UTC time>-<short hash>``; one that
    exists is replaced only with ``force``. A failed gate is a finished run: see ``Report.verdict``.

    Raises:
        EdgekitError: the run could not be finished; nothing is left at ``out``.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    run = Run(recipe, cache or Cache(), progress or SilentProgress())
    final = out or default_folder(recipe.name, content_key(recipe_to_dict(recipe)))
    with run_folder(final, force=force) as folder:
        made = make(run, folder)
        report = judge(run, made, final)
        write_run(
            folder, report, recipe, made.source, made.quantized.baseline, made.data, made.labels
        )
        return report


@exits_told("the model's own code")
def judge_model(
    model: Path,
    recipe: Recipe | str,
    *,
    baseline: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Report:
    """Hold a ``.tflite`` or ``.onnx`` file, or the run folder that it is in, against the recipe's
    model and limits, whoever made it; ``baseline`` is the run folder of the last release, or its
    report.json, which the file must not be worse than.

    ``out`` and ``force`` as of ``quantize``.

    Raises:
        EdgekitError: the file could not be judged; nothing is left at ``out``.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    run = Run(recipe, cache or Cache(), progress or SilentProgress())
    key = content_key({"judged": recipe_to_dict(recipe), "model": str(model.absolute())})
    final = out or default_folder(recipe.name, key)
    # Read first: what is no baseline is refused before any work is done.
    previous = None if baseline is None else read_run(baseline).report
    with run_folder(final, force=force) as folder:
        made = take(run, model, folder)
        report = judge(run, made, final)
        if previous is not None:
            gate = recipe.gate
            compared = check_baseline(
                previous,
                report.at(gate.confidence).to_dict(),
                drop_max=gate.baseline_drop_max,
                confidence=gate.confidence,
            )
            report = replace(report, checks=(*report.checks, *compared))
        write_run(
            folder, report, recipe, made.source, made.quantized.baseline, made.data, made.labels
        )
        return report


@dataclass(frozen=True)
class Made:
    """The first half of a run: what it started from, and what came of it."""

    source: SourceModel
    labels: Labels | None
    data: RunData
    hops: tuple[Hop, ...]
    quantized: Quantized
    promises_full_integer: bool
    choices: tuple[Choice, ...] = ()


def make(run: Run, folder: Path) -> Made:
    """From the recipe to the artefact, which is written into ``folder``."""
    model_spec = run.recipe.model
    with run.stage("locate"):
        source = locate(model_spec, progress=run.progress, cache=run.cache)
        labels = load_labels(model_spec.labels, run.progress) if model_spec.labels else None
    found = make_plans(source.kind, run.recipe.quantize)
    several = len(found.plans) > 1
    with run.stage("data"):
        data = open_run_data(run.recipe, run.progress)
        if several:
            data = replace(data, dev=_open_dev(data, found.key))
        _remark_on(run, data)
    attempts = _attempts(run, source, labels, data, found.plans)
    if data.dev is None:
        (only,) = attempts
        quantized, hops = only.make(folder), only.hops
        choices = quantized.choices
    else:
        kept = best_on_dev(run, source, data.dev, found.of, attempts, folder)
        quantized, hops = kept.quantized, kept.attempt.hops
        choices = (kept.choice, *quantized.choices)
    promises = METHODS[quantized.artefact.method].full_integer
    return Made(source, labels, data, hops, quantized, promises, choices)


def take(run: Run, model: Path, folder: Path) -> Made:
    """The artefact that is there already, copied into ``folder``, beside the float model in its
    format; full integer is promised where the recipe's methods promise it."""
    recipe = run.recipe
    artefact = given_artefact(model, folder)
    with run.stage("locate"):
        source = locate(recipe.model, progress=run.progress, cache=run.cache)
        labels = load_labels(recipe.model.labels, run.progress) if recipe.model.labels else None
    with run.stage("data"):
        data = open_run_data(recipe, run.progress)
        _remark_on(run, data)
    sample = next(iter(data.fidelity))

    def shapes() -> dict[str, tuple[int, ...]]:
        with source.open_session(run.threads) as session:
            answers = predict(session, [sample]).outputs
        return {name: array.shape for name, array in answers.items()}

    fed = {name: array.shape for name, array in sample.feeds.items()}
    artefact = with_ends(artefact, fed, source.outputs, shapes)
    for own, name in artefact.renamed.items():
        run.note(f"what the file calls {own} is compared as {name}")
    crossings = Crossings(run, source, data.calibration)
    method = TO_FLOAT[artefact.format]
    (plan, *_) = make_plans(source.kind, replace(recipe.quantize, method=method)).plans
    _, reached = first_that_holds(run, crossings, plan)
    asked = {plan.method for plan in make_plans(source.kind, recipe.quantize).plans}
    if artefact.format is ArtefactFormat.TFLITE and method in asked:
        artefact = left_float(artefact, reached.model, recipe.quantize.modules)
    promises = all(METHODS[each].full_integer for each in asked)
    quantized = Quantized(artefact, baseline=reached.model, calibration_cached=False)
    return Made(source, labels, data, reached.hops, quantized, promises)


def _attempts(
    run: Run, source: SourceModel, labels: Labels | None, data: RunData, plans: Sequence[Plan]
) -> list[Attempt]:
    """Each plan, ready to be made. The bridges are crossed first, so that none of the plans pays
    for what they share; one that leads nowhere fails when it is made, unless it is the only one."""
    crossings = Crossings(run, source, data.calibration)
    attempts = []
    for plan in plans:
        name = f"quantize: {plan.name}" if len(plans) > 1 else "quantize"
        try:
            _, reached = first_that_holds(run, crossings, plan)
        except FAILURES as error:
            if len(plans) == 1:
                raise
            hops = crossings.hops(plan.ways[0]) if plan.ways else ()
            attempts.append(Attempt(plan, hops, partial(_fail, error)))
            continue
        making = partial(_quantize, run, source, labels, data, plan.method, reached.model, name)
        attempts.append(Attempt(plan, reached.hops, making))
    return attempts


def _quantize(
    run: Run,
    source: SourceModel,
    labels: Labels | None,
    data: RunData,
    method: str,
    model: SourceModel,
    stage_name: str,
    folder: Path,
) -> Quantized:
    """The artefact in ``folder``, finished: so that sizes are those of files that stay."""
    job = QuantizeJob(
        model=model,
        goal=_goal(run.recipe, source),
        options=run.recipe.quantize,
        calibration=data.calibration,
        open_dev=data.open_dev,
        open_training=data.open_training,
        folder=folder,
        cache=run.cache,
        progress=run.progress,
        threads=run.threads,
    )
    with run.stage(stage_name, reused="calibration statistics") as stage:
        quantized = load_method(method).quantize(job)
        stage.cached = quantized.calibration_cached
    for warning in quantized.warnings:
        run.note(warning)
    made = (quantized.artefact, *quantized.alternatives.values())
    files = [each.path for each in made if each.format is ArtefactFormat.TFLITE]
    if files:
        with run.stage("metadata"):
            for file in files:
                finish_tflite(
                    file, run.recipe, source=source, baseline=quantized.baseline, labels=labels
                )
    return quantized


def _goal(recipe: Recipe, source: SourceModel) -> Goal:
    gate = recipe.gate
    return Goal(
        primary=source.outputs[0],
        classification=task_named(recipe.evaluate.task).classification,
        agreement_min=gate.agreement_min,
        top1_drop_max=gate.drop_limits.get("top1"),
        sqnr_db_min=gate.sqnr_db_min,
    )


def _fail(error: EdgekitError, folder: Path) -> Quantized:
    raise error


def judge(run: Run, made: Made, final: Path) -> Report:
    """Measure the artefact and hold it against the recipe's limits."""
    recipe, quantized = run.recipe, made.quantized
    artefact = quantized.artefact
    measured = measure(
        run, made.source, quantized.baseline, artefact, made.data, quantized.alternatives
    )
    checks = check_limits(
        recipe.gate,
        recipe.quantize,
        promises_full_integer=made.promises_full_integer,
        facts=measured.facts,
        size=measured.size,
        fidelity=measured.fidelity,
        accuracy=measured.accuracy,
        latency=measured.latency if isinstance(measured.latency, HostLatency) else None,
        host=measured.host,
        older_runtime=measured.older_runtime,
        memory=measured.memory,
    )
    return Report(
        recipe=recipe.name,
        folder=final,
        artefact=artefact,
        facts=measured.facts,
        size=measured.size,
        fidelity=measured.fidelity,
        accuracy=measured.accuracy,
        latency=measured.latency,
        host=measured.host,
        alternatives=measured.alternatives,
        checks=(*checks, *check_devices(measured.devices, recipe.gate.confidence)),
        stages=tuple(run.stages),
        notes=tuple(run.notes),
        data={
            use: {
                "dataset": dataset.name,
                "role": dataset.role.value,
                "samples": len(dataset),
                "skipped": [
                    *dataset.skipped,
                    *(measured.failed if dataset is made.data.labelled else ()),
                ],
                "fingerprint": dataset.fingerprint,
            }
            for use, dataset in made.data.by_use.items()
        },
        bridges=made.hops,
        choices=made.choices,
        older_runtime=measured.older_runtime,
        memory=measured.memory,
        evidence=measured.evidence,
        devices=measured.devices,
    )


def _open_dev(data: RunData, key: str) -> Dataset:
    try:
        return data.open_dev()
    except DataError as error:
        raise DataError(
            f"quantize.{key}: auto chooses on the dev samples, but {error.message}",
            hint=f"Give data for that role too, or write which {key} to use.",
        ) from error


def _remark_on(run: Run, data: RunData) -> None:
    """Say at once what is odd about the data, and keep it for the report."""
    for finding in data.findings:
        run.warn(f"{finding.name}: {finding.message}")
    for dataset in (data.calibration, data.fidelity):
        if dataset.skipped:
            count = len(dataset.skipped)
            samples = "sample was" if count == 1 else "samples were"
            run.warn(f"{count} broken {samples} skipped: {', '.join(dataset.skipped[:5])}")
    asked = run.recipe.evaluate.samples
    if len(data.fidelity) < asked:
        run.note(
            f"compared on {len(data.fidelity)} samples, all that {data.fidelity.name} has; "
            f"evaluate.samples asks for {asked}"
        )
    if run.recipe.evaluate.labelled and data.labelled is None:
        run.note("the evaluation data has no labels: accuracy is not scored")
