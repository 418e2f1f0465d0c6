"""Static INT8 ``.pt2`` by PT2E (torchao), its activation ranges from the shared estimators."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cache import content_key
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.runtimes import open_timed
from edgekit.runtimes.session import Session
from edgekit.sources.pytorch import require_torch
from edgekit.sources.source import SourceModel
from edgekit.types import Artefact, ArtefactFormat, ModelKind

if TYPE_CHECKING:
    import torch

RUNTIME = "torch_export"
TOOLS = ("torch", "torchao")
_FLOAT_FILE = "model.float.pt2"
# Raise when the float program of the same model changes.
_FLOAT_REVISION = 1


class PT2E:
    """Export, prepare, calibrate, convert, export again, save."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.pytorch.export import example_inputs, export, export_source, torch_threads
        from edgekit.pytorch.pt2e_calibrate import calibrate
        from edgekit.pytorch.pt2e_prepare import convert, prepare
        from edgekit.pytorch.pt2e_rules import model_modules, static_treatments

        backend = "xnnpack" if job.options.backend == "auto" else job.options.backend
        with torch_threads(job.threads):
            with job.progress.task("Exporting"):
                program = export_source(job.model)
                float_file = _float_file(job, program)
            modules = model_modules(job.model, program)
            with job.progress.task("Preparing"):
                prepared = prepare(
                    program,
                    backend,
                    modules,
                    static_treatments(modules, job.options.modules),
                    per_channel=job.options.per_channel,
                )
            cached = calibrate(job, prepared, job.model.inputs)
            with job.progress.task("Quantizing"):
                graph = convert(prepared, example_inputs(job.model.inputs))
                quantized = export(graph, job.model.inputs)
                file = _save(job, quantized, prepared.kept_float)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.PT2,
            method="pt2e",
            runtime=RUNTIME,
            notes={
                "engine": f"torchao {version('torchao')}",
                "backend": backend,
                "observer": f"per-sample extremes, {job.options.estimator}",
            },
        )
        baseline = float_program(float_file, job.model)
        return Quantized(artefact=artefact, baseline=baseline, calibration_cached=cached)


def make() -> Method:
    return PT2E()


def float_program(file: Path, model: SourceModel) -> SourceModel:
    """The float ``.pt2`` of ``model`` that size and speed of an artefact are compared with."""
    import torch

    return SourceModel(
        kind=ModelKind.EXPORTED_PROGRAM,
        inputs=model.inputs,
        outputs=model.outputs,
        fingerprint=content_key({"model": model.fingerprint, "torch": version("torch")}),
        files={"model": file},
        loader=lambda: torch.export.load(file),
        opener=_open,
    )


def _open(source: SourceModel, threads: int) -> Session:
    return open_timed(source.files["model"], threads=threads, runtime=RUNTIME)


def _float_file(job: QuantizeJob, program: torch.export.ExportedProgram) -> Path:
    from edgekit.pytorch.description import describe
    from edgekit.pytorch.program import save_program

    key = content_key(
        {
            "model": job.model.fingerprint,
            "inputs": job.model.inputs,
            "outputs": job.model.outputs,
            "torch": version("torch"),
            "revision": _FLOAT_REVISION,
        }
    )

    def write(folder: Path) -> None:
        description = describe(job.model.inputs, job.model.outputs, kept_float={})
        save_program(program, folder / _FLOAT_FILE, description)

    return job.cache.get_or_make("program", key, write).path / _FLOAT_FILE


def _save(
    job: QuantizeJob, program: torch.export.ExportedProgram, kept_float: dict[str, str]
) -> Path:
    from edgekit.pytorch.description import describe
    from edgekit.pytorch.program import save_program

    file = job.folder / "model.pt2"
    description = describe(job.model.inputs, job.model.outputs, kept_float=kept_float, tools=TOOLS)
    save_program(program, file, description)
    return file
