"""Static INT8 TorchScript by FX graph mode, ranges from the shared estimators.

PyTorch deprecates FX graph mode for PT2E; its INT8 kernels run in plain eager torch, without a
compiler, which PT2E's do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.cache import content_key
from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import (
    Range,
    TensorStatistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.calibrate.subset import VALUES_MAX
from edgekit.errors import ConversionError, RecipeError
from edgekit.methods.fine_tuning import WITHOUT, fine_tuning_notes
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.pytorch.baseline import float_baseline
from edgekit.pytorch.description import describe
from edgekit.pytorch.modules import ModuleName, Treatment, leaf_modules, treatments
from edgekit.pytorch.script import RUNTIME, Example, example, fixed_notes, save
from edgekit.runtimes.torchscript import on_engine
from edgekit.sources.pytorch import require_torch
from edgekit.types import Artefact, ArtefactFormat, Sample

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from edgekit.pytorch.fx_graph import Prepared

EXAMPLES = 8
"""Calibration samples that engine and trace are checked on."""
_STATISTICS_FILE = "statistics.npz"
# Raise when the statistics of the same model and samples change.
_REVISION = 1


class FX:
    """Trace, prepare, calibrate, convert for an engine that can be trusted, save."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.pytorch.engines import candidates
        from edgekit.pytorch.export import torch_threads
        from edgekit.pytorch.fx_faults import float_reasons, refuse_unmet, unsound

        # FX has no name for the model itself: where that is a layer, no rule can mean it.
        leaves = tuple(leaf for leaf in leaf_modules(job.model.value) if leaf.name)
        found = treatments(leaves, job.options.modules)
        _check(leaves, found)
        engines = candidates(job.options.backend)
        examples = [
            example(sample.feeds, job.model.inputs) for sample in islice(job.calibration, EXAMPLES)
        ]
        with torch_threads(job.threads):
            made = _first_trusted(job, engines, found, examples)
            wrong = unsound(job.model.value)
            reasons = float_reasons(made.int8, leaves, found, wrong, made.called)
            refuse_unmet(leaves, found, reasons)
            for name in wrong:
                job.progress.note(f"{name} stays float: {reasons[name]}")
            notes: dict[str, Any] = {
                "engine": f"torch {version('torch')}, FX graph mode",
                "backend": made.engine,
                "observer": f"per-sample extremes, {job.options.estimator}",
            }
            alternatives = {}
            int8 = made.int8
            if job.options.qat is not None:
                int8, losses = _fine_tuned(job, made, found, examples)
                beside = job.folder / "model.ptq.ts"
                _save(job, made.int8, reasons, found, made.engine, examples, beside)
                alternatives = {WITHOUT: _artefact(beside, notes)}
                notes = {**notes, **fine_tuning_notes(job.options.qat, losses)}
            file = job.folder / "model.ts"
            notes |= _save(job, int8, reasons, found, made.engine, examples, file)
            baseline = float_baseline(
                job.model,
                ArtefactFormat.TORCHSCRIPT,
                RUNTIME,
                lambda path, description: save(job.model.value, examples[:2], description, path),
                cache=job.cache,
            )
        return Quantized(_artefact(file, notes), baseline, made.cached, alternatives)


def make() -> Method:
    return FX()


def _check(leaves: Sequence[ModuleName], found: Mapping[str, Treatment]) -> None:
    types = {leaf.name: leaf.type for leaf in leaves}
    for name, treatment in found.items():
        if treatment.method == "dynamic" and types[name] != "Linear":
            raise RecipeError(
                f"{treatment.rule}: FX makes only Linear dynamic; {name} is a {types[name]}",
                hint="Narrow the rule with type: Linear, or leave the module out: method: float.",
            )


@dataclass(frozen=True)
class _Made:
    """What the calibration samples alone gave; ``cached`` says whether they were run at all."""

    engine: str
    int8: GraphModule
    called: frozenset[str]
    ranges: dict[str, Range]
    cached: bool


def _first_trusted(
    job: QuantizeJob,
    engines: Sequence[str],
    found: Mapping[str, Treatment],
    examples: Sequence[Example],
) -> _Made:
    """By the first of ``engines`` that agrees with its reference."""
    from edgekit.pytorch.fx_engine import check_engine
    from edgekit.pytorch.fx_faults import disagreement, worst_module
    from edgekit.pytorch.fx_graph import convert, reference

    refused = {}
    faults = []
    cached = True
    for engine in engines:
        with on_engine(engine, "the model"):
            with job.progress.task(f"Preparing for {engine}"):
                prepared = _prepared(job, engine, found, examples)
            # What is observed is the same for every engine: one pass over the samples serves all.
            statistics, known = _statistics(job, prepared)
            cached = cached and known
            ranges = estimate(statistics, job.options.estimator, exact=prepared.ends)
            with job.progress.task(f"Quantizing for {engine}"):
                int8 = convert(prepared, ranges)
                simulated = reference(prepared, ranges)
                check = check_engine(job.model.value, simulated, int8, examples)
            if check.trusted:
                return _Made(engine, int8, prepared.called, ranges, cached)
            fault = worst_module(simulated, int8, examples)
        refused[engine] = f"{check}; {fault}" if fault else str(check)
        faults += [fault] if fault else []
        if len(engines) > 1:
            job.progress.note(
                f"backend {engine} is left out, its answers are wrong here: {refused[engine]}"
            )
    raise disagreement(refused, faults, version("torch"))


def _fine_tuned(
    job: QuantizeJob, made: _Made, found: Mapping[str, Treatment], examples: Sequence[Example]
) -> tuple[GraphModule, tuple[float, ...]]:
    """The INT8 module with trained weights, and the loss of every step."""
    from edgekit.pytorch.fx_engine import check_engine
    from edgekit.pytorch.fx_faults import disagreement, worst_module
    from edgekit.pytorch.fx_graph import convert, reference
    from edgekit.pytorch.qat import fine_tuned

    with on_engine(made.engine, "the model"):
        prepared, ranges, losses = fine_tuned(
            job,
            made.ranges,
            job.model.inputs,
            # The graph has no shapes in it.
            lambda shaped: _prepared(job, made.engine, found, examples),
        )
        with job.progress.task(f"Quantizing for {made.engine}"):
            int8 = convert(prepared, ranges)
            simulated = reference(prepared, ranges)
            check = check_engine(prepared.graph, simulated, int8, examples)
        if not check.trusted:
            fault = worst_module(simulated, int8, examples)
            how = f"after fine-tuning {check}" + (f"; {fault}" if fault else "")
            raise disagreement({made.engine: how}, [fault] if fault else [], version("torch"))
    return int8, losses


def _prepared(
    job: QuantizeJob, engine: str, found: Mapping[str, Treatment], examples: Sequence[Example]
) -> Prepared:
    from edgekit.pytorch.fx_graph import prepare

    names = tuple(spec.name for spec in job.model.inputs)
    return prepare(
        job.model.value,
        examples[0],
        names,
        engine,
        found,
        per_channel=job.options.per_channel,
    )


def _save(
    job: QuantizeJob,
    int8: GraphModule,
    reasons: Mapping[str, str],
    found: Mapping[str, Treatment],
    engine: str,
    examples: Sequence[Example],
    file: Path,
) -> dict[str, Any]:
    """Make the file; the notes of what its trace fixed."""
    description = describe(
        job.model.inputs,
        job.model.outputs,
        kept_float=reasons,
        engine=engine,
        one_by_one=any(treatment.method == "dynamic" for treatment in found.values()),
    )
    with on_engine(engine, file.name), job.progress.task("Saving"):
        return fixed_notes(save(int8, examples[:2], description, file), job.progress)


def _artefact(file: Path, notes: Mapping[str, Any]) -> Artefact:
    return Artefact(file, ArtefactFormat.TORCHSCRIPT, "fx", RUNTIME, notes)


def _statistics(job: QuantizeJob, prepared: Prepared) -> tuple[dict[str, TensorStatistics], bool]:
    from edgekit.pytorch.export import quiet_warnings
    from edgekit.pytorch.extremes import collect_extremes

    values = needs_histogram([job.options.estimator])
    key = content_key(
        {
            "method": "fx",
            "model": job.model.fingerprint,
            "inputs": job.model.inputs,
            "observers": list(prepared.observers),
            "dataset": job.calibration.fingerprint,
            "torch": version("torch"),
            "revision": _REVISION,
            **({"values": VALUES_MAX} if values else {}),
        }
    )

    def collect(folder: Path) -> None:
        def run(sample: Sample) -> Any:
            return prepared.graph(*example(sample.feeds, job.model.inputs))

        with quiet_warnings(), job.progress.task("Calibrating", len(job.calibration)) as task:
            collected = collect_extremes(
                prepared.observers, run, job.calibration, task, values=values
            )
        check_finite(collected)
        save_statistics(collected, folder / _STATISTICS_FILE)

    if not prepared.observers:
        raise ConversionError(
            "FX found nothing in the model that it can quantize",
            hint="Look at quantize.modules and at the types of the model's layers; FX sees "
            "modules and functions of torch.nn only.",
        )
    entry = job.cache.get_or_make("statistics", key, collect)
    return load_statistics(entry.path / _STATISTICS_FILE), entry.cached
