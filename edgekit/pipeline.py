"""The stages of a run, in their order. No other module knows it.

locate -> data -> float graph -> quantize -> inspect -> fidelity -> accuracy -> latency -> gate
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit.bridges.cross import cross
from edgekit.bridges.route import find_route
from edgekit.bridges.verify import Hop
from edgekit.cache import Cache, content_key
from edgekit.data.roles import RunData, open_run_data
from edgekit.errors import ConversionError
from edgekit.gate.limits import check_limits
from edgekit.measure.accuracy import MetricAccuracy, measure_accuracy
from edgekit.measure.fidelity import Fidelity, fidelity
from edgekit.measure.host import this_host
from edgekit.measure.latency import HostLatency, measure_pair
from edgekit.measure.reference import reference_predictions
from edgekit.measure.size import measure_size
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe import load_recipe, recipe_to_dict
from edgekit.recipe.schema import Recipe
from edgekit.report.report import NotMeasured, Report, Stage
from edgekit.runs.folder import default_folder, run_folder
from edgekit.runs.labels import load_labels
from edgekit.runs.write import write_run
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict, stored_feeds
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.tasks import task_named
from edgekit.tflite.facts import GraphFacts, graph_facts
from edgekit.tflite.graph import read_graph
from edgekit.types import Artefact

PROVEN_WITHIN = 0.02
"""An interval of the accuracy drop wider than this (two points) is called no proof."""


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
    run = _Run(recipe, cache or Cache(), progress or SilentProgress())
    final = out or default_folder(recipe.name, content_key(recipe_to_dict(recipe)))
    with run_folder(final, force=force) as folder:
        return run.execute(folder, final)


@dataclass
class _Stage:
    cached: bool = False


@dataclass
class _Run:
    """One run in progress; it accumulates only what the report says about the run itself."""

    recipe: Recipe
    cache: Cache
    progress: Progress
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def execute(self, folder: Path, final: Path) -> Report:
        recipe = self.recipe
        with self._stage("locate"):
            source = locate(recipe.model, progress=self.progress)
            labels = None
            if recipe.model.labels is not None:
                labels = load_labels(recipe.model.labels, self.progress)
        with self._stage("data"):
            data = open_run_data(recipe, self.progress)
            self._remark_on(data)
        model, hops = self._reach_method(source, data)
        quantized = self._quantize(model, data, folder)
        artefact = quantized.artefact
        with self._stage("inspect"):
            facts = _inspect(artefact, data)
        compared, accuracy = self._compare(source, artefact, data)
        latency = self._time(model, artefact, data)
        host = this_host()
        size = measure_size(model.files["model"], artefact.path)
        report = Report(
            recipe=recipe.name,
            folder=final,
            artefact=artefact,
            facts=facts,
            size=size,
            fidelity=compared,
            accuracy=accuracy,
            latency=latency,
            checks=check_limits(
                recipe.gate,
                recipe.quantize,
                facts=facts,
                size=size,
                fidelity=compared,
                accuracy=accuracy,
                latency=latency if isinstance(latency, HostLatency) else None,
                host=host,
            ),
            host=host,
            stages=tuple(self.stages),
            notes=tuple(self.notes),
            data=_described(data),
            bridges=tuple(hops),
        )
        write_run(folder, report, recipe, source, model, data, labels)
        return report

    def _reach_method(self, source: SourceModel, data: RunData) -> tuple[SourceModel, list[Hop]]:
        """The model in a kind the method accepts, and what the check of each hop found."""
        options = self.recipe.quantize
        route = find_route(source.kind, METHODS[options.method].accepts, options.bridge)
        if route is None:
            raise ConversionError(
                f"no bridge leads from {source.kind.value} to {options.method}",
                hint="Choose another quantize.method or quantize.bridge.",
            )
        model, hops = source, []
        for name in route:
            with self._stage("float graph") as stage:
                crossing = cross(
                    name,
                    model,
                    data.calibration,
                    threads=self.threads,
                    cache=self.cache,
                    progress=self.progress,
                )
                stage.cached = crossing.cached
            model = crossing.model
            hops.append(crossing.hop)
        return model, hops

    def _quantize(self, model: SourceModel, data: RunData, folder: Path) -> Quantized:
        options = self.recipe.quantize
        job = QuantizeJob(
            model=model,
            options=options,
            calibration=data.calibration,
            folder=folder,
            cache=self.cache,
            progress=self.progress,
            threads=self.threads,
        )
        with self._stage("quantize", reused="calibration statistics") as stage:
            quantized = load_method(options.method).quantize(job)
            stage.cached = quantized.calibration_cached
        return quantized

    def _compare(
        self, source: SourceModel, artefact: Artefact, data: RunData
    ) -> tuple[Fidelity, dict[str, MetricAccuracy]]:
        task, primary = task_named(self.recipe.evaluate.task), source.outputs[0]
        datasets = [data.fidelity] if data.labelled is None else [data.fidelity, data.labelled]
        with self._stage("reference") as stage:
            references, stage.cached = reference_predictions(
                source,
                datasets,
                threads=self.threads,
                cache=self.cache,
                progress=self.progress,
            )
        with (
            self._stage("fidelity"),
            open_session(artefact.path, threads=self.threads, runtime=artefact.runtime) as session,
            self.progress.task("Running the quantized model", sum(map(len, datasets))) as bar,
        ):
            answers = [predict(session, dataset, task=bar) for dataset in datasets]
        compared = fidelity(
            references[0], answers[0], primary=primary, classification=task.classification
        )
        if data.labelled is None:
            return compared, {}
        accuracy = measure_accuracy(task, references[1], answers[1], primary=primary)
        self._qualify(accuracy.get("top1"))
        return compared, dict(accuracy)

    def _time(
        self, model: SourceModel, artefact: Artefact, data: RunData
    ) -> HostLatency | NotMeasured:
        spec = self.recipe.latency
        if not spec.enabled:
            return NotMeasured("latency.enabled is false")
        sample = next(iter(data.fidelity))
        with (
            self._stage("latency"),
            model.open_session(spec.threads) as before,
            open_session(artefact.path, threads=spec.threads, runtime=artefact.runtime) as after,
            self.progress.task("Timing float and INT8 in turns", spec.rounds) as bar,
        ):
            return measure_pair(
                before,
                after,
                stored_feeds(before, sample),
                stored_feeds(after, sample),
                rounds=spec.rounds,
                runs_per_round=spec.runs_per_round,
                task=bar,
            )

    def _remark_on(self, data: RunData) -> None:
        for finding in data.findings:
            self._warn(f"{finding.name}: {finding.message}")
        for dataset in (data.calibration, data.fidelity):
            if dataset.skipped:
                named = ", ".join(dataset.skipped[:5])
                self._warn(f"{len(dataset.skipped)} broken files were skipped: {named}")
        asked = self.recipe.evaluate.samples
        if len(data.fidelity) < asked:
            self.notes.append(
                f"compared on {len(data.fidelity)} samples, all that {data.fidelity.name} has; "
                f"evaluate.samples asks for {asked}"
            )
        if self.recipe.evaluate.labelled and data.labelled is None:
            self.notes.append("the evaluation data has no labels: accuracy is not scored")

    def _qualify(self, top1: MetricAccuracy | None) -> None:
        """Say what the labels cannot prove, where they are few."""
        if top1 is None or top1.ci_high - top1.ci_low <= PROVEN_WITHIN:
            return
        self.notes.append(
            f"top-1 on {top1.n} labelled samples is no proof: a drop anywhere from "
            f"{top1.ci_low * 100:+.0f} to {top1.ci_high * 100:+.0f} points fits what was seen"
        )

    def _warn(self, text: str) -> None:
        self.notes.append(text)
        self.progress.warn(text)

    @contextmanager
    def _stage(self, name: str, reused: str | None = None) -> Iterator[_Stage]:
        """Time a stage and record it; ``reused`` is what its cache holds, if not all of it."""
        stage, start = _Stage(), time.perf_counter()
        yield stage
        self.stages.append(Stage(name, round(time.perf_counter() - start, 3), stage.cached))
        if stage.cached:
            self.progress.note(f"{reused or name}: taken from the cache")


def _inspect(artefact: Artefact, data: RunData) -> GraphFacts:
    # A new file is first loaded and run where a crash can be survived and named.
    with open_session(artefact.path, isolated=True, runtime=artefact.runtime) as session:
        predict(session, islice(data.fidelity, 1))
    return graph_facts(read_graph(artefact.path))


def _described(data: RunData) -> dict[str, Any]:
    return {
        use: {
            "dataset": dataset.name,
            "role": dataset.role.value,
            "samples": len(dataset),
            "skipped": list(dataset.skipped),
            "fingerprint": dataset.fingerprint,
        }
        for use, dataset in data.by_use.items()
    }
