"""The stages of a run, in their order. No other module knows it.

make:   locate -> data -> float graph -> quantize -> metadata; of several methods the best on dev
        is kept
judge:  inspect -> fidelity -> accuracy -> latency -> gate
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgekit.bridges.cross import cross
from edgekit.bridges.route import find_route
from edgekit.bridges.verify import Hop
from edgekit.cache import Cache, content_key
from edgekit.choose import Choice
from edgekit.data import Dataset
from edgekit.data.roles import RunData, open_run_data
from edgekit.errors import ConversionError, DataError, EdgekitError
from edgekit.gate.limits import check_limits
from edgekit.measure.latency import HostLatency
from edgekit.measure.measurements import measure
from edgekit.methods import AUTO, METHODS, candidates, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe import load_recipe, recipe_to_dict
from edgekit.recipe.schema import Recipe
from edgekit.report.report import Report
from edgekit.runs.folder import default_folder, run_folder
from edgekit.runs.labels import Labels, load_labels
from edgekit.runs.metadata import finish_tflite
from edgekit.runs.run import Run
from edgekit.runs.write import write_run
from edgekit.sources import locate
from edgekit.sources.factory import exits_told
from edgekit.sources.source import SourceModel
from edgekit.trial import FAILURES, Attempt, best_on_dev
from edgekit.types import ArtefactFormat


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


@dataclass(frozen=True)
class Made:
    """The first half of a run: what it started from, and what came of it."""

    source: SourceModel
    labels: Labels | None
    data: RunData
    hops: tuple[Hop, ...]
    quantized: Quantized
    choices: tuple[Choice, ...] = ()


def make(run: Run, folder: Path) -> Made:
    """From the recipe to the artefact, which is written into ``folder``."""
    model_spec = run.recipe.model
    with run.stage("locate"):
        source = locate(model_spec, progress=run.progress, cache=run.cache)
        labels = load_labels(model_spec.labels, run.progress) if model_spec.labels else None
    methods = _methods(run, source)
    with run.stage("data"):
        data = open_run_data(run.recipe, run.progress)
        if len(methods) > 1:
            data = replace(data, dev=_open_dev(data))
        _remark_on(run, data)
    if data.dev is None:
        (method,) = methods
        model, hops = _reach_method(run, source, data, method)
        quantized = _quantize(run, method, model, data, folder)
        _finish(run, source, labels, quantized)
        return Made(source, labels, data, hops, quantized)
    hops, attempts = _attempts(run, source, labels, data, methods)
    quantized, choice = best_on_dev(run, source, data.dev, attempts, folder)
    return Made(source, labels, data, hops, quantized, (choice,))


def _attempts(
    run: Run,
    source: SourceModel,
    labels: Labels | None,
    data: RunData,
    methods: tuple[str, ...],
) -> tuple[tuple[Hop, ...], dict[str, Attempt]]:
    """What makes each candidate. The bridges are crossed first, so that none of them pays for
    what they share."""
    crossed: dict[str, Hop] = {}
    attempts: dict[str, Attempt] = {}
    for method in methods:
        try:
            model, hops = _reach_method(run, source, data, method)
        except FAILURES as error:
            attempts[method] = partial(_fail, error)
            continue
        crossed |= {hop.bridge: hop for hop in hops}
        attempts[method] = partial(_attempt, run, source, labels, method, model, data)
    return tuple(crossed.values()), attempts


def _attempt(
    run: Run,
    source: SourceModel,
    labels: Labels | None,
    method: str,
    model: SourceModel,
    data: RunData,
    folder: Path,
) -> Quantized:
    quantized = _quantize(run, method, model, data, folder, stage_name=f"quantize: {method}")
    _finish(run, source, labels, quantized)
    return quantized


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
        promises_full_integer=METHODS[artefact.method].full_integer,
        facts=measured.facts,
        size=measured.size,
        fidelity=measured.fidelity,
        accuracy=measured.accuracy,
        latency=measured.latency if isinstance(measured.latency, HostLatency) else None,
        host=measured.host,
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
        checks=checks,
        stages=tuple(run.stages),
        notes=tuple(run.notes),
        data={
            use: {
                "dataset": dataset.name,
                "role": dataset.role.value,
                "samples": len(dataset),
                "skipped": list(dataset.skipped),
                "fingerprint": dataset.fingerprint,
            }
            for use, dataset in made.data.by_use.items()
        },
        bridges=made.hops,
        choices=made.choices,
    )


def _methods(run: Run, source: SourceModel) -> tuple[str, ...]:
    """The method that the recipe names, or all that auto tries with its model."""
    options = run.recipe.quantize
    if options.method != AUTO:
        return (options.method,)
    return candidates(source.kind, options.bridge) or candidates(source.kind)


def _open_dev(data: RunData) -> Dataset:
    try:
        return data.open_dev()
    except DataError as error:
        raise DataError(
            f"quantize.method: auto chooses on the dev samples, but {error.message}",
            hint="Give data for that role too, or write which method to use.",
        ) from error


def _reach_method(
    run: Run, source: SourceModel, data: RunData, method: str
) -> tuple[SourceModel, tuple[Hop, ...]]:
    """The model in a kind the method accepts, and what the check of each hop found."""
    route = find_route(source.kind, METHODS[method].accepts, run.recipe.quantize.bridge)
    if route is None:
        raise ConversionError(
            f"no bridge leads from {source.kind.value} to {method}",
            hint="Choose another quantize.method or quantize.bridge.",
        )
    model, hops = source, []
    for name in route:
        with run.stage("float graph") as stage:
            crossing = cross(
                name,
                model,
                data.calibration,
                threads=run.threads,
                cache=run.cache,
                progress=run.progress,
            )
            stage.cached = crossing.cached
        model = crossing.model
        hops.append(crossing.hop)
    return model, tuple(hops)


def _quantize(
    run: Run,
    method: str,
    model: SourceModel,
    data: RunData,
    folder: Path,
    *,
    stage_name: str = "quantize",
) -> Quantized:
    job = QuantizeJob(
        model=model,
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
    return quantized


def _finish(run: Run, source: SourceModel, labels: Labels | None, quantized: Quantized) -> None:
    """Before anything is measured, so that sizes are those of the files that stay."""
    made = (quantized.artefact, *quantized.alternatives.values())
    files = [each.path for each in made if each.format is ArtefactFormat.TFLITE]
    if not files:
        return
    with run.stage("metadata"):
        for file in files:
            finish_tflite(
                file, run.recipe, source=source, baseline=quantized.baseline, labels=labels
            )


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
