"""Static INT8 ``.pt2`` by PT2E (torchao), its activation ranges from the shared estimators."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgekit.methods.fine_tuning import write_pt2e
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.pytorch.baseline import float_baseline
from edgekit.runtimes.torch_export import RUNTIME
from edgekit.sources.pytorch import require_torch
from edgekit.types import Artefact, ArtefactFormat

if TYPE_CHECKING:
    from edgekit.pytorch.pt2e_prepare import Prepared
    from edgekit.recipe.schema import InputSpec


class PT2E:
    """Export, prepare, calibrate, convert, export again, save."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.pytorch.export import export_at, export_source, load_torchao, torch_threads

        load_torchao()
        from edgekit.pytorch.program import save_program
        from edgekit.pytorch.pt2e_calibrate import calibrate
        from edgekit.pytorch.pt2e_prepare import prepare
        from edgekit.pytorch.pt2e_rules import model_modules, static_treatments

        backend = "xnnpack" if job.options.backend == "auto" else job.options.backend
        inputs = job.model.inputs
        with torch_threads(job.threads):
            with job.progress.task("Exporting"):
                program = export_source(job.model)
                baseline = float_baseline(
                    job.model,
                    ArtefactFormat.PT2,
                    RUNTIME,
                    partial(save_program, program),
                    cache=job.cache,
                )
            modules = model_modules(job.model, program)
            treatments = static_treatments(modules, job.options.modules)

            def prepare_at(shaped: tuple[InputSpec, ...]) -> Prepared:
                own = program if shaped == inputs else export_at(job.model, shaped)
                return prepare(
                    own, backend, modules, treatments, per_channel=job.options.per_channel
                )

            with job.progress.task("Preparing"):
                prepared = prepare_at(inputs)
            cached = calibrate(job, prepared, inputs)
            notes = {
                "engine": f"torchao {version('torchao')}",
                "backend": backend,
                "observer": f"per-sample extremes, {job.options.estimator}",
            }
            artefact, beside = write_pt2e(
                job, prepared, inputs, prepare_at, partial(_artefact, job), notes
            )
        return Quantized(artefact, baseline, cached, beside)


def make() -> Method:
    return PT2E()


def _artefact(
    job: QuantizeJob, prepared: Prepared, name: str, notes: Mapping[str, Any]
) -> Artefact:
    """``prepared``, whose ranges are set, as the INT8 file ``name``; it is used up."""
    from edgekit.pytorch.description import describe
    from edgekit.pytorch.export import example_inputs, export
    from edgekit.pytorch.program import TOOLS, save_program
    from edgekit.pytorch.pt2e_prepare import convert

    file = job.folder / f"{name}.pt2"
    with job.progress.task("Quantizing"):
        graph = convert(prepared, example_inputs(job.model.inputs))
        description = describe(
            job.model.inputs, job.model.outputs, kept_float=prepared.kept_float, tools=TOOLS
        )
        save_program(export(graph, job.model.inputs), file, description)
    return Artefact(file, ArtefactFormat.PT2, "pt2e", RUNTIME, notes)
