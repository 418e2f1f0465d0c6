"""Full-integer ``.tflite`` by PT2E: the INT8 program of torchao, converted by litert-torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bridges.cross import cross
from edgekit.bridges.litert_torch import channels_last
from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.methods.fine_tuning import write_pt2e
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.runtimes.cause import condensed_cause
from edgekit.sources.pytorch import require_torch
from edgekit.sources.source import SourceModel
from edgekit.tflite.ends import with_end_types
from edgekit.tflite.names import readable_names
from edgekit.types import Artefact, ArtefactFormat, ModelKind

if TYPE_CHECKING:
    import torch

    from edgekit.pytorch.pt2e_prepare import Prepared
    from edgekit.recipe.schema import InputSpec

# Of the wrapper's attribute that holds the model: what module names in its graph begin with.
_PREFIX = "model."


class PT2ETFLite:
    """As ``pt2e``, on the model as the ``.tflite`` will have it: channels-last."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        require_torch()
        from edgekit.bridges.channels_last import ChannelsLast
        from edgekit.pytorch.export import export, export_source, load_torchao, torch_threads

        load_torchao()
        from edgekit.pytorch.pt2e_calibrate import calibrate
        from edgekit.pytorch.pt2e_prepare import prepare
        from edgekit.pytorch.pt2e_rules import model_modules, static_treatments

        crossing = cross(
            "litert_torch",
            job.model,
            job.calibration,
            threads=job.threads,
            cache=job.cache,
            progress=job.progress,
        )
        inputs = tuple(map(channels_last, job.model.inputs))
        with torch_threads(job.threads):
            with job.progress.task("Exporting"):
                own = export_source(job.model)
                wrapped = ChannelsLast(_module(job.model), job.model.inputs, job.model.outputs)
            modules = model_modules(job.model, own)
            treatments = static_treatments(modules, job.options.modules, dynamic=False)

            def prepare_at(shaped: tuple[InputSpec, ...]) -> Prepared:
                return prepare(
                    export(wrapped, shaped),
                    "xnnpack",
                    modules,
                    treatments,
                    per_channel=job.options.per_channel,
                    prefix=_PREFIX,
                )

            with job.progress.task("Preparing"):
                prepared = prepare_at(inputs)
            cached = calibrate(job, prepared, inputs)
            notes = {
                "engine": f"torchao {version('torchao')}, litert-torch {version('litert-torch')}",
                "backend": "xnnpack",
                "observer": f"per-sample extremes, {job.options.estimator}",
            }
            artefact, beside = write_pt2e(
                job, prepared, inputs, prepare_at, partial(_artefact, job, inputs), notes
            )
        return Quantized(artefact, crossing.model, cached, beside)


def make() -> Method:
    return PT2ETFLite()


def _artefact(
    job: QuantizeJob,
    inputs: tuple[InputSpec, ...],
    prepared: Prepared,
    name: str,
    notes: Mapping[str, Any],
) -> Artefact:
    """``prepared``, whose ranges are set, as the INT8 file ``name``; it is used up."""
    from edgekit.bridges.channels_last import ChannelsLast
    from edgekit.pytorch.export import example_inputs
    from edgekit.pytorch.pt2e_prepare import convert

    with job.progress.task("Quantizing"):
        examples = example_inputs(inputs)
        # litert-torch folds the quantization of weights itself, and takes no other form.
        data = _to_tflite(convert(prepared, examples, fold_weights=False), examples)
    root = f"{ChannelsLast.__module__}.{ChannelsLast.__qualname__}"
    file = job.folder / f"{name}.tflite"
    file.write_bytes(
        with_end_types(
            readable_names(data, tuple(spec.name for spec in inputs), job.model.outputs, root),
            input_dtype=job.options.input_dtype,
            output_dtype=job.options.output_dtype,
        )
    )
    return Artefact(file, ArtefactFormat.TFLITE, "pt2e_tflite", "litert", notes)


def _module(source: SourceModel) -> Any:
    if source.kind is ModelKind.EXPORTED_PROGRAM:
        return source.value.module(check_guards=False)
    return source.value


def _to_tflite(graph: torch.fx.GraphModule, examples: tuple[torch.Tensor, ...]) -> bytes:
    """The bytes that litert-torch makes of a graph with quantize and dequantize operators."""
    import tempfile

    from edgekit.pytorch.export import quiet_warnings

    with captured_output(), quiet_warnings():
        try:
            import litert_torch
            from litert_torch.quantize import pt2e_quantizer
            from litert_torch.quantize.quant_config import QuantConfig

            # The program is quantized already: this only sets the converter to static INT8.
            static = pt2e_quantizer.PT2EQuantizer().set_global(
                pt2e_quantizer.get_symmetric_quantization_config()
            )
            converted = litert_torch.convert(
                graph, examples, quant_config=QuantConfig(pt2e_quantizer=static)
            )
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.tflite"
                converted.export(str(file))
                return file.read_bytes()
        except Exception as error:  # many types, from torch.export down to MLIR
            raise ConversionError(
                f"litert-torch could not convert the quantized program: "
                f"{condensed_cause(f'{type(error).__name__}: {error}')}",
                hint="Take quantize.method litert_static, and report the model.",
            ) from error
