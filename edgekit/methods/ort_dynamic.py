"""Dynamic INT8 ``.onnx`` by ONNX Runtime's quantizer: int8 weights in the file, the range of each
activation taken as it comes along. Nothing is calibrated."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.methods.ort_static import control_flow_notes, engine_notes
from edgekit.onnx.float_rules import kept_float
from edgekit.onnx.model_file import require_onnx, with_layouts, write_model
from edgekit.onnx.ops import listed
from edgekit.onnx.prepare import prepared
from edgekit.runtimes.cause import condensed_cause
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat

_WEIGHTS = {"MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2), "Gather": (0,)}
"""Inputs that have to be constant, by operator. Conv is left out: dynamic, it is slower than
float."""


class OrtDynamic:
    """Prepare, choose, quantize."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        with job.progress.task("Preparing"):
            model, done = prepared(job.model.value)
        for line in (*done, *control_flow_notes(model)):
            job.progress.note(line)
        kept = kept_float(model, job.options.modules, "dynamic")
        chosen = _quantizable_nodes(model, kept)
        with job.progress.task("Quantizing"):
            quantized = _quantized(model, chosen, per_channel=job.options.per_channel)
        file = job.folder / "model.onnx"
        write_model(with_layouts(quantized, job.model.inputs), file)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.ONNX,
            method="ort_dynamic",
            runtime="onnxruntime",
            notes={
                **engine_notes(quantized),
                "activations": "uint8, dynamic",
                "weights": "int8",
                **({"prepared": list(done)} if done else {}),
                **({KEPT_FLOAT: kept} if kept else {}),
            },
        )
        return Quantized(artefact=artefact, baseline=job.model, calibration_cached=False)


def make() -> Method:
    return OrtDynamic()


def _quantizable_nodes(model: Any, excluded: Collection[str]) -> tuple[str, ...]:
    constants = {
        tensor.name for tensor in model.graph.initializer if tensor.data_type == tensor.FLOAT
    }
    chosen = [
        node.name
        for node in model.graph.node
        if node.op_type in _WEIGHTS
        and node.name not in excluded
        and all(node.input[position] in constants for position in _WEIGHTS[node.op_type])
    ]
    if not chosen:
        found = sorted({node.op_type for node in model.graph.node})
        raise ConversionError(
            f"nothing in the model can be made dynamic INT8: it has no {', '.join(_WEIGHTS)} with "
            f"constant float weights that the recipe does not leave float, only {listed(found)}",
            hint="Look at quantize.modules; for a convolutional network use method: ort_static.",
        )
    return tuple(chosen)


def _quantized(model: Any, chosen: Collection[str], *, per_channel: bool) -> Any:
    onnx = require_onnx()
    with tempfile.TemporaryDirectory(prefix="edgekit-onnx-") as folder:
        made = Path(folder) / "model.onnx"
        try:
            with captured_output():
                from onnxruntime.quantization import QuantType, quantize_dynamic

                quantize_dynamic(
                    model,
                    made,
                    op_types_to_quantize=list(_WEIGHTS),
                    per_channel=per_channel,
                    weight_type=QuantType.QInt8,
                    nodes_to_quantize=sorted(chosen),
                )
        except Exception as error:  # it raises whatever its Python comes upon
            raise ConversionError(
                f"ONNX Runtime's quantizer refuses the model: {condensed_cause(str(error))}",
                hint="Leave the operator it names float: quantize.modules, method: float.",
            ) from error
        quantized = onnx.load(made)
    del quantized.metadata_props[:]
    return quantized
