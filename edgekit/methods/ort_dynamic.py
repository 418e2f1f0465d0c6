"""Dynamic INT8 ``.onnx`` by ONNX Runtime's quantizer: int8 weights in the file, the range of each
activation taken as it comes along. Nothing is calibrated."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.methods.ort_static import control_flow_notes, engine_notes
from edgekit.onnx.constants import float_constants, part_shared_weights
from edgekit.onnx.float_rules import kept_float
from edgekit.onnx.model_file import with_layouts, write_model
from edgekit.onnx.ops import listed
from edgekit.onnx.order import order_nodes
from edgekit.onnx.prepare import prepared
from edgekit.onnx.shapes import empty_tensors
from edgekit.onnx.weight_scales import weight_overrides
from edgekit.runtimes.cause import condensed_cause
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat

_WEIGHTS = {"MatMul": (1,), "LSTM": (1, 2), "Gather": (0,)}
"""Inputs that have to be constant, by operator; a Gemm becomes a MatMul and an Add. Conv is left
out: it has no fast kernel whose ranges are found as they come."""
_GEMM_PARTS = ("_MatMul", "_Add")


class OrtDynamic:
    """Prepare, choose, quantize."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        with job.progress.task("Preparing"):
            model, done = prepared(job.model.value)
        for line in (*done, *control_flow_notes(model)):
            job.progress.note(line)
        kept = kept_float(model, job.options.modules, "dynamic")
        kept |= {
            f"{node.name}{part}": kept[node.name]
            for node in model.graph.node
            if node.op_type == "Gemm" and node.name in kept
            for part in _GEMM_PARTS
        }
        model = _with_matmuls(model)
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


def _with_matmuls(model: Any) -> Any:
    """A copy in which every plain Gemm is a MatMul, called after it, and an Add."""
    with captured_output():
        from onnxruntime.quantization.onnx_model import ONNXModel

    made = type(model)()
    made.CopyFrom(model)
    # ONNX Runtime turns the weights of a transposed Gemm and of an LSTM around, once for each that
    # reads them.
    part_shared_weights(made, copied=("Gemm", "LSTM"))
    editable = ONNXModel(made)
    editable.replace_gemm_with_matmul()
    editable.clean_initializers()
    return editable.model


def _quantizable_nodes(model: Any, excluded: Collection[str]) -> tuple[str, ...]:
    constants = float_constants(model).keys() - empty_tensors(model)
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
            "nothing in the model can be made dynamic INT8: it has no Gemm without transA, "
            f"{', '.join(_WEIGHTS)} with constant float weights that the recipe does not leave "
            f"float; its operators are {listed(found)}",
            hint="Look at quantize.modules; for a convolutional network use method: ort_static.",
        )
    return tuple(chosen)


def _quantized(model: Any, chosen: Collection[str], *, per_channel: bool) -> Any:
    with captured_output():
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode

    class Quantizer(ONNXQuantizer):  # type: ignore[misc]  # its package has no types
        def quantize_weight_per_channel(self, weight_name: str, *args: Any, **kwargs: Any) -> Any:
            """One scale where we gave one: MatMulInteger has channels in matrices only."""
            if not self.tensor_quant_overrides.has_per_tensor_overrides(weight_name):
                return super().quantize_weight_per_channel(weight_name, *args, **kwargs)
            weight = self.model.get_initializer(weight_name)
            return self.quantize_initializer(weight, self.weight_qType)

    overrides = weight_overrides(model, nodes=chosen, per_channel=per_channel)
    try:
        with captured_output():
            quantizer = Quantizer(
                model,
                per_channel,
                False,  # reduce_range; see weight_scales
                QuantizationMode.IntegerOps,
                False,  # static
                QuantType.QInt8,
                QuantType.QUInt8,
                None,
                sorted(chosen),
                [],
                list(_WEIGHTS),
                {"MatMulConstBOnly": True, "TensorQuantOverrides": overrides},
            )
            quantizer.quantize_model()
    except Exception as error:  # it raises whatever its Python comes upon
        raise ConversionError(
            f"ONNX Runtime's quantizer refuses the model: {condensed_cause(str(error))}",
            hint="Leave the operator it names float: quantize.modules, method: float.",
        ) from error
    quantized = quantizer.model.model
    del quantized.metadata_props[:]
    order_nodes(quantized)
    return quantized
