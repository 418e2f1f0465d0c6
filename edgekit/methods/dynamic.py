"""Dynamic INT8 TorchScript by the eager modules of ``torch.ao``.

Weights are int8 in the file; activations are quantized at run time, with a range for each tensor of
each call, so nothing is calibrated. A few calibration samples are run all the same: the trace and
the quantized engine are held to what they should answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ConversionError
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.pytorch.baseline import float_baseline
from edgekit.pytorch.description import describe
from edgekit.pytorch.dynamic_plan import (
    FLOAT_TABLES,
    DynamicPlan,
    plan_key,
    plan_modules,
    shared_weights,
    without_tables,
)
from edgekit.pytorch.script import RUNTIME, Example, example, fixed_notes, save
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.torchscript import on_engine
from edgekit.sources.pytorch import require_torch
from edgekit.types import Artefact, ArtefactFormat

if TYPE_CHECKING:
    import torch

EXAMPLES = 4
"""Calibration samples that the trace and the engine are checked on."""
# Raise when the files of the same model and options change.
_REVISION = 1


class Dynamic:
    """Plan, choose an engine, replace modules, trace, save."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.pytorch.export import quiet_warnings, torch_threads

        model = job.model.value
        with torch_threads(job.threads), quiet_warnings():
            samples = islice(job.calibration, EXAMPLES)
            examples = [example(sample.feeds, job.model.inputs) for sample in samples]
            engine, plan = _engine_and_plan(job, examples)
            for names in shared_weights(model, plan):
                job.progress.note(f"{names} share weights; each has an INT8 copy of its own")
            with job.progress.task("Quantizing"):
                file = job.folder / "model.ts"
                fixed = _write(job, plan, engine, examples, file)
                alternatives = _alternatives(job, plan, engine, examples)
            baseline = float_baseline(
                job.model,
                ArtefactFormat.TORCHSCRIPT,
                RUNTIME,
                lambda path, description: save(model, examples, description, path),
                cache=job.cache,
            )
        return Quantized(
            artefact=_artefact(file, plan, engine, fixed),
            baseline=baseline,
            calibration_cached=False,
            alternatives=alternatives,
        )


def make() -> Method:
    return Dynamic()


def _engine_and_plan(job: QuantizeJob, examples: Sequence[Example]) -> tuple[str, DynamicPlan]:
    """The engine to use, and what becomes of each module on it."""
    from edgekit.pytorch.dynamic_engine import observed_products, trusted_engine
    from edgekit.pytorch.dynamic_modules import library
    from edgekit.pytorch.engines import candidates

    model = job.model.value
    plans = {
        engine: plan_modules(model, job.options, library(engine))
        for engine in candidates(job.options.backend)
    }
    names = tuple(next(iter(plans.values())).matmuls)
    with job.progress.task("Checking the engine"):
        products = observed_products(model, names, examples)
        engine = trusted_engine(
            tuple(plans),
            products,
            {engine: plan.matmuls for engine, plan in plans.items()},
            per_channel=job.options.per_channel,
        )
    if names and not products:
        job.progress.note(
            f"engine {engine} is not checked against its reference: the samples reach none of the "
            f"{len(names)} modules that it multiplies"
        )
    return engine, plans[engine]


def _write(
    job: QuantizeJob, plan: DynamicPlan, engine: str, examples: Sequence[Example], file: Path
) -> Mapping[str, Any]:
    """Make the file; the notes of what its trace fixed."""
    from edgekit.pytorch.dynamic_modules import quantize_modules

    description = describe(
        job.model.inputs,
        job.model.outputs,
        kept_float=plan.kept_float,
        engine=engine,
        one_by_one=True,
    )
    with on_engine(engine, file.name), _slow_path():
        module = quantize_modules(
            job.model.value, plan, per_channel=job.options.per_channel, engine=engine
        )
        _check_runs(module, examples)
        return fixed_notes(save(module, examples, description, file), job.progress)


def _check_runs(module: torch.nn.Module, examples: Sequence[Example]) -> None:
    """Before the trace, whose own complaints would hide the cause."""
    import torch

    try:
        with torch.inference_mode():
            module(*examples[0])
    except Exception as error:  # the model is the user's code: it may raise anything
        cause = condensed_cause(f"{type(error).__name__}: {error}")
        raise ConversionError(
            f"with INT8 modules in it {type(module).__name__} no longer runs: {cause}",
            hint="Code that reads the weights of another module cannot use INT8 ones. Leave that "
            "module float: quantize.modules, e.g. - {name: NAME, method: float}.",
        ) from error


def _alternatives(
    job: QuantizeJob, plan: DynamicPlan, engine: str, examples: Sequence[Example]
) -> Mapping[str, Artefact]:
    other = without_tables(plan)
    if other is None:
        return {}
    key = plan_key(
        job.model,
        other,
        engine=engine,
        per_channel=job.options.per_channel,
        revision=_REVISION,
    )

    def write(folder: Path) -> None:
        _write(job, other, engine, examples, folder / "model.ts")

    file = job.cache.get_or_make("dynamic", key, write).path / "model.ts"
    return {FLOAT_TABLES: _artefact(file, other, engine, {})}


def _artefact(file: Path, plan: DynamicPlan, engine: str, fixed: Mapping[str, Any]) -> Artefact:
    bits = " or ".join(str(bits) for bits in sorted(set(plan.matmuls.values())))
    notes: dict[str, Any] = {
        "engine": f"torch {version('torch')}",
        "backend": engine,
        "observer": "none: ranges are taken at run time",
        **fixed,
    }
    if bits:
        notes["weight_bits"] = bits
    return Artefact(file, ArtefactFormat.TORCHSCRIPT, "dynamic", RUNTIME, notes)


@contextmanager
def _slow_path() -> Iterator[None]:
    """Without the fused ``nn.TransformerEncoderLayer``, which reads its modules' weights itself."""
    import torch

    mha = torch.backends.mha
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)
