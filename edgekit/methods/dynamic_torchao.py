"""Dynamic INT8 ``.pt2`` by torchao's ``quantize_``: a range for each token, taken at run time.

torch multiplies int8 matrices fast only where the CPU has an INT8 dot product; elsewhere
``aten._int_mm`` is a plain loop, many times slower than float.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

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
from edgekit.runtimes.torch_export import RUNTIME
from edgekit.sources.pytorch import require_torch
from edgekit.types import Artefact, ArtefactFormat

# Raise when the files of the same model and options change.
_REVISION = 1


class DynamicTorchao:
    """Plan, quantize, export, save."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.pytorch.export import (
            export_source,
            load_torchao,
            quiet_warnings,
            torch_threads,
        )

        load_torchao()
        from edgekit.pytorch.dynamic_torchao import library
        from edgekit.pytorch.program import save_program

        with torch_threads(job.threads), quiet_warnings():
            plan = plan_modules(job.model.value, job.options, library())
            for names in shared_weights(job.model.value, plan):
                job.progress.note(f"{names} share weights; each has an INT8 copy of its own")
            with job.progress.task("Exporting"):
                baseline = float_baseline(
                    job.model,
                    ArtefactFormat.PT2,
                    RUNTIME,
                    lambda path, description: save_program(
                        export_source(job.model), path, description
                    ),
                    cache=job.cache,
                )
            with job.progress.task("Quantizing"):
                file = job.folder / "model.pt2"
                _write(job, plan, file)
                alternatives = _alternatives(job, plan)
        return Quantized(
            artefact=_artefact(file),
            baseline=baseline,
            calibration_cached=False,
            alternatives=alternatives,
        )


def make() -> Method:
    return DynamicTorchao()


def _write(job: QuantizeJob, plan: DynamicPlan, file: Path) -> None:
    from edgekit.pytorch.dynamic_torchao import quantize_modules
    from edgekit.pytorch.export import export
    from edgekit.pytorch.program import TOOLS, save_program

    program = export(quantize_modules(job.model.value, plan), job.model.inputs)
    description = describe(
        job.model.inputs, job.model.outputs, kept_float=plan.kept_float, tools=TOOLS
    )
    save_program(program, file, description)


def _alternatives(job: QuantizeJob, plan: DynamicPlan) -> Mapping[str, Artefact]:
    other = without_tables(plan)
    if other is None:
        return {}

    def write(folder: Path) -> None:
        _write(job, other, folder / "model.pt2")

    key = plan_key(job.model, other, torchao=version("torchao"), revision=_REVISION)
    file = job.cache.get_or_make("dynamic_torchao", key, write).path / "model.pt2"
    return {FLOAT_TABLES: _artefact(file)}


def _artefact(file: Path) -> Artefact:
    return Artefact(
        path=file,
        format=ArtefactFormat.PT2,
        method="dynamic_torchao",
        runtime=RUNTIME,
        notes={
            "engine": f"torchao {version('torchao')}",
            "observer": "none: ranges are taken at run time, one for each token",
        },
    )
