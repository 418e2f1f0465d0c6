"""INT8 by pairs of QuantizeLinear and DequantizeLinear around the operators of a float graph.

Weights are symmetric int8, activations uint8: what ONNX Runtime's x86 kernels are made for, and its
Arm kernels take as well. The quantizer is ONNX Runtime's own; ranges and scales are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edgekit.calibrate.statistics import Range
from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.onnx.constants import part_shared_weights
from edgekit.onnx.extremes import FUSED, fused_inputs
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import listed, read_inside
from edgekit.onnx.order import order_nodes
from edgekit.onnx.shapes import empty_tensors, only_the_runtimes
from edgekit.onnx.weight_scales import weight_overrides
from edgekit.runtimes.cause import condensed_cause

ACTIVATION_TYPE = "uint8"
WEIGHT_TYPE = "int8"

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_OTHERS = frozenset(
    {
        *("Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Softmax", "Concat", "Where"),
        *("AveragePool", "GlobalAveragePool", "MaxPool", "Resize", "Pad", "Gather", "Split"),
        *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"),
    }
)
QUANTIZABLE = _WEIGHTED | _OTHERS
"""What ONNX Runtime computes or moves in 8 bits, and ConvTranspose for its weights. Its own list
has normalizations too, which it then runs in float between two conversions."""


def quantizable_nodes(model: Any, excluded: Collection[str]) -> tuple[str, ...]:
    """Names of the nodes that are to be quantized.

    Raises:
        ConversionError: none of them multiplies.
    """
    # A fused Relu is gone, and the quantizer leads no reader of an inner graph elsewhere.
    inner, empty = read_inside(model), empty_tensors(model)
    chosen = [
        node
        for node in model.graph.node
        if node.op_type in QUANTIZABLE
        and node.domain in ("", "ai.onnx")
        and node.name not in excluded
        and not _clips_beyond_zero(model, node)
        and not (node.op_type in FUSED and inner & {node.input[0], node.output[0]})
        and not empty & {*node.input, *node.output}
    ]
    if not any(node.op_type in _WEIGHTED for node in chosen):
        found = sorted({node.op_type for node in model.graph.node})
        raise ConversionError(
            "nothing in the model can be made static INT8: it has no "
            f"{', '.join(sorted(_WEIGHTED))} outside inner graphs that the recipe does not leave "
            f"float, only {listed(found) or 'nothing at all'}",
            hint="Look at quantize.modules; for a recurrent network try method: ort_dynamic.",
        )
    return tuple(node.name for node in chosen)


def with_qdq(
    model: Any,
    chosen: Collection[str],
    ranges: Mapping[str, Range],
    *,
    per_channel: bool,
) -> Any:
    """``model`` quantized at the nodes in ``chosen``; ``model`` itself is left as it is.

    Raises:
        ConversionError: ONNX Runtime's quantizer refused.
    """
    onnx = require_onnx()
    with captured_output():
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.calibrate import TensorData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    class Quantizer(QDQQuantizer):  # type: ignore[misc]  # its package has no types
        def adjust_tensor_ranges(self) -> None:
            """Ours are final: its own rules take no output of the graph for a reader."""

    made = onnx.ModelProto()
    made.CopyFrom(model)
    part_shared_weights(made)
    limits = {
        name: TensorData(lowest=np.float32(each.min), highest=np.float32(each.max))
        for name, each in _with_fused(model, chosen, ranges).items()
    }
    overrides = weight_overrides(made, nodes=chosen, per_channel=per_channel)
    try:
        with captured_output():
            quantizer = Quantizer(
                made,
                per_channel,
                False,  # reduce_range; see weight_scales
                QuantType.QInt8,
                QuantType.QUInt8,
                limits,
                sorted(chosen),
                [],
                sorted(QUANTIZABLE),
                {"WeightSymmetric": True, "TensorQuantOverrides": overrides},
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
    only_the_runtimes(quantized)
    return quantized


def _with_fused(
    model: Any, chosen: Collection[str], ranges: Mapping[str, Range]
) -> dict[str, Range]:
    behind = fused_inputs(model, chosen)
    found = dict(ranges)
    for name, output in behind.items():
        while output in behind:  # a Clip at one end, then one at the other
            output = behind[output]
        if output in ranges:
            found[name] = ranges[output]
    return found


def _clips_beyond_zero(model: Any, node: Any) -> bool:
    """A Clip becomes part of the range in front of it, and every range holds zero."""
    if node.op_type != "Clip":
        return False
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    bounds = [-np.inf, np.inf]
    for position, name in enumerate(node.input[1:3]):
        if name and name not in constants:
            return True
        if name:
            bounds[position] = float(require_onnx().numpy_helper.to_array(constants[name]))
    return not bounds[0] <= 0 <= bounds[1]
