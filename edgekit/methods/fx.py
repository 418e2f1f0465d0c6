"""Static INT8 TorchScript by FX graph mode, ranges from the shared estimators.

PyTorch deprecates FX graph mode for PT2E; its INT8 kernels run in plain eager torch, without a
compiler, which PT2E's do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.cache import content_key
from edgekit.calibrate import estimate
from edgekit.calibrate.statistics import (
    TensorStatistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.errors import ConversionError, RecipeError
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.pytorch.description import describe
from edgekit.pytorch.modules import ModuleName, Treatment, leaf_modules, treatments
from edgekit.pytorch.script import RUNTIME, Example, example, float_baseline, save
from edgekit.runtimes.torchscript import on_engine
from edgekit.sources.pytorch import require_torch
from edgekit.types import Artefact, ArtefactFormat, Sample

if TYPE_CHECKING:
    import torch

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
        from edgekit.pytorch.dynamic_engine import candidates
        from edgekit.pytorch.export import torch_threads

        if job.options.qat is not None:
            raise RecipeError(
                "quantize.qat: this method does not fine-tune",
                hint="Use quantize.method: pt2e for quantization-aware fine-tuning.",
            )
        module: torch.nn.Module = job.model.value
        leaves = leaf_modules(module)
        found = treatments(leaves, job.options.modules)
        _check(leaves, found)
        engines = candidates(job.options.backend)
        examples = [
            example(sample.feeds, job.model.inputs) for sample in islice(job.calibration, EXAMPLES)
        ]
        with torch_threads(job.threads):
            engine, int8, cached = _first_trusted(job, engines, found, examples)
            kept_float = _kept_float(module, int8, leaves, found)
            file = job.folder / "model.ts"
            description = describe(
                job.model.inputs, job.model.outputs, kept_float=kept_float, engine=engine
            )
            with on_engine(engine, file.name), job.progress.task("Saving"):
                save(int8, examples[:2], description, file)
            baseline = float_baseline(job.model, examples[:2], cache=job.cache)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.TORCHSCRIPT,
            method="fx",
            runtime=RUNTIME,
            notes={
                "engine": f"torch {version('torch')}, FX graph mode",
                "backend": engine,
                "observer": f"per-sample extremes, {job.options.estimator}",
            },
        )
        return Quantized(artefact, baseline, calibration_cached=cached)


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


def _first_trusted(
    job: QuantizeJob,
    engines: Sequence[str],
    found: Mapping[str, Treatment],
    examples: Sequence[Example],
) -> tuple[str, torch.nn.Module, bool]:
    """The first of ``engines`` that agrees with its reference, its INT8 module, and whether the
    statistics came from the cache."""
    from edgekit.pytorch.fx_engine import check_engine
    from edgekit.pytorch.fx_graph import convert, prepare, reference

    names = tuple(spec.name for spec in job.model.inputs)
    refused = []
    calibrated = True
    for engine in engines:
        with on_engine(engine, "the model"):
            with job.progress.task(f"Preparing for {engine}"):
                prepared = prepare(
                    job.model.value,
                    examples[0],
                    names,
                    engine,
                    found,
                    per_channel=job.options.per_channel,
                )
            # What is observed is the same for every engine: one pass over the samples serves all.
            statistics, cached = _statistics(job, prepared)
            calibrated = calibrated and cached
            ranges = estimate(statistics, job.options.estimator, exact=prepared.outputs)
            with job.progress.task(f"Quantizing for {engine}"):
                int8 = convert(prepared, ranges)
                check = check_engine(job.model.value, reference(prepared, ranges), int8, examples)
        if check.trusted:
            return engine, int8, calibrated
        refused.append(f"{engine} ({check})")
        if len(engines) > 1:
            job.progress.note(f"backend {engine} is left out, its answers are wrong here: {check}")
    raise ConversionError(
        f"this machine's torch {version('torch')} does not compute what its own "
        f"quantize/dequantize reference says: {'; '.join(refused)}",
        hint="Choose another quantize.backend, or auto, or quantize.method: pt2e.",
    )


def _statistics(job: QuantizeJob, prepared: Prepared) -> tuple[dict[str, TensorStatistics], bool]:
    from edgekit.pytorch.export import quiet_warnings
    from edgekit.pytorch.extremes import collect_extremes

    key = content_key(
        {
            "method": "fx",
            "model": job.model.fingerprint,
            "inputs": job.model.inputs,
            "observers": list(prepared.observers),
            "dataset": job.calibration.fingerprint,
            "torch": version("torch"),
            "revision": _REVISION,
        }
    )

    def collect(folder: Path) -> None:
        def run(sample: Sample) -> Any:
            return prepared.graph(*example(sample.feeds, job.model.inputs))

        with quiet_warnings(), job.progress.task("Calibrating", len(job.calibration)) as task:
            collected = collect_extremes(prepared.observers, run, job.calibration, task)
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


def _kept_float(
    module: torch.nn.Module,
    int8: torch.nn.Module,
    leaves: Sequence[ModuleName],
    found: Mapping[str, Treatment],
) -> dict[str, str]:
    """Why each module with weights that is still one of torch.nn stayed so, by name."""
    kept = {}
    still = dict(int8.named_modules())
    for leaf in leaves:
        same = still.get(leaf.name)
        if (
            not leaf.weighted
            or same is None
            or type(same) is not type(module.get_submodule(leaf.name))
        ):
            continue
        treatment = found.get(leaf.name)
        kept[leaf.name] = (
            f"the recipe leaves it out ({treatment.rule})"
            if treatment is not None and treatment.method == "float"
            else f"FX has no static INT8 kernel for {leaf.type}"
        )
    return kept
