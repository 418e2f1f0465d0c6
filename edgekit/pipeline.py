"""The stages of a run, in their order. No other module knows it.

make:   locate -> data -> float graph -> quantize
judge:  inspect -> fidelity -> accuracy -> latency -> gate
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.bridges.cross import cross
from edgekit.bridges.route import find_route
from edgekit.bridges.verify import Hop
from edgekit.cache import Cache, content_key
from edgekit.data.roles import RunData, open_run_data
from edgekit.errors import ConversionError
from edgekit.gate.limits import check_limits
from edgekit.measure.latency import HostLatency
from edgekit.measure.measurements import measure
from edgekit.methods import METHODS, load_method
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
from edgekit.sources.source import SourceModel
from edgekit.types import ArtefactFormat


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
        if made.quantized.artefact.format is ArtefactFormat.TFLITE:
            with run.stage("metadata"):
                finish_tflite(
                    made.quantized.artefact.path,
                    run.recipe,
                    source=made.source,
                    baseline=made.quantized.baseline,
                    labels=made.labels,
                )
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


def make(run: Run, folder: Path) -> Made:
    """From the recipe to the artefact, which is written into ``folder``."""
    model_spec = run.recipe.model
    with run.stage("locate"):
        source = locate(model_spec, progress=run.progress)
        labels = load_labels(model_spec.labels, run.progress) if model_spec.labels else None
    with run.stage("data"):
        data = open_run_data(run.recipe, run.progress)
        _remark_on(run, data)
    model, hops = _reach_method(run, source, data)
    return Made(source, labels, data, hops, _quantize(run, model, data, folder))


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
        promises_full_integer=METHODS[recipe.quantize.method].full_integer,
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
    )


def _reach_method(
    run: Run, source: SourceModel, data: RunData
) -> tuple[SourceModel, tuple[Hop, ...]]:
    """The model in a kind the method accepts, and what the check of each hop found."""
    options = run.recipe.quantize
    route = find_route(source.kind, METHODS[options.method].accepts, options.bridge)
    if route is None:
        raise ConversionError(
            f"no bridge leads from {source.kind.value} to {options.method}",
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


def _quantize(run: Run, model: SourceModel, data: RunData, folder: Path) -> Quantized:
    options = run.recipe.quantize
    job = QuantizeJob(
        model=model,
        options=options,
        calibration=data.calibration,
        open_dev=data.open_dev,
        open_training=data.open_training,
        folder=folder,
        cache=run.cache,
        progress=run.progress,
        threads=run.threads,
    )
    with run.stage("quantize", reused="calibration statistics") as stage:
        quantized = load_method(options.method).quantize(job)
        stage.cached = quantized.calibration_cached
    return quantized


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
