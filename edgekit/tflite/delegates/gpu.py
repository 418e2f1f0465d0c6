"""Which operators the GPU delegate takes, with quantized models allowed, as is its default.

The rules are read from tensorflow/lite/tools/versioning/gpu_compatibility.cc, where those of
tensorflow/lite/delegates/gpu/common/model_builder.cc now are; the element types, and that only the
largest partition goes to the GPU, from model_builder.cc itself and delegates/gpu/delegate_options.h
(``max_delegated_partitions = 1``). INT8 is computed there in half precision.
"""

from __future__ import annotations

from edgekit.tflite.delegates.operator import Operator
from edgekit.tflite.graph import Tensor

ASSUMES = "TfLiteGpuDelegateV2 with its defaults; it computes quantized models in float16"
MAX_PARTITIONS: int | None = 1

_FREE = frozenset(
    {
        *("CONCATENATION", "PACK", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"),
        *("SPLIT", "SPLIT_V"),
    }
)
_UNARY = frozenset(
    {
        *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "LOG", "LOGISTIC", "NEG", "RSQRT"),
        *("SIGN", "SIN", "SQRT", "SQUARE", "TANH", "HARD_SWISH"),
    }
)
_BINARY = frozenset(
    {
        *("ATAN2", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL", "LESS"),
        *("LESS_EQUAL", "LOGICAL_AND", "MAXIMUM", "MINIMUM", "NOT_EQUAL", "POW", "SUB"),
        "SQUARED_DIFFERENCE",
    }
)
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"})
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
_PADS = frozenset({"PAD", "PADV2", "MIRROR_PAD"})
_ONE_INPUT = frozenset(
    {
        *("RESHAPE", "TRANSPOSE", "TILE", "QUANTIZE", "RESIZE_BILINEAR"),
        *("RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"),
    }
)
_OTHERS = frozenset(
    {
        *("ADD", "ADD_N", "MUL", "BATCH_MATMUL", "CAST", "FULLY_CONNECTED", "GATHER", "SLICE"),
        *("STRIDED_SLICE", "SOFTMAX", "DEQUANTIZE"),
    }
)
TAKEN = (
    _FREE | _UNARY | _BINARY | _POOLS | _REDUCTIONS | _CONVOLUTIONS | _PADS | _ONE_INPUT | _OTHERS
)
_TYPES = frozenset({"float32", "float16", "int8", "uint8"})
_ACTIVATIONS = frozenset({"NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH"})
_CASTS = frozenset({("bool", "float32"), ("float32", "bool"), ("float32", "int32")})


def why_not(operator: Operator) -> str | None:
    """Why it stays on the CPU; ``None`` where the GPU delegate takes it."""
    if operator.name not in TAKEN:
        return "no such operator in the GPU delegate"
    return _form(operator) or _types(operator)


def _types(operator: Operator) -> str | None:
    """Of everything that is no constant."""
    for tensor in (*operator.runtime_inputs, *operator.outputs):
        if tensor.dtype not in _TYPES:
            return f"no {tensor.dtype} tensors"
    return None


def _form(operator: Operator) -> str | None:
    name, fused = operator.name, operator.op.activation
    if name in _POOLS | _CONVOLUTIONS | {"MUL", "DIV", "SUB"} and fused not in _ACTIVATIONS:
        return f"fused {fused} is not supported"
    if name in _UNARY | _ONE_INPUT | _POOLS | _PADS | _REDUCTIONS:
        if len(operator.runtime_inputs) != 1:
            return f"takes one input that is no constant, not {len(operator.runtime_inputs)}"
        if len(operator.outputs) != 1:
            return "takes one output"
    if name in _BINARY and not 1 <= len(operator.runtime_inputs) <= 2:
        return "takes one or two inputs"
    if name in _REDUCTIONS:
        axes = operator.input(1)
        if axes is None or not axes.constant or axes.dtype != "int32":
            return "its axes are no int32 constant"
    if name in _PADS:
        return _padding(operator)
    if name in ("ADD", "MUL"):
        return _broadcast(operator)
    if name in _CONVOLUTIONS:
        return _convolution(operator)
    return _other(operator)


def _padding(operator: Operator) -> str | None:
    if operator.name == "MIRROR_PAD" and operator.option("mode") != 0:
        return "pads by reflection only"
    shape = () if (paddings := operator.input(1)) is None else paddings.shape
    return None if shape in ((3, 2), (4, 2)) else "pads three or four axes"


def _broadcast(operator: Operator) -> str | None:
    if len(operator.inputs) != 2:
        return f"takes two inputs, not {len(operator.inputs)}"
    first, second = (tensor.shape for tensor in operator.inputs)
    if operator.name == "MUL" and len(first) == len(second):
        smaller = any(a < b for a, b in zip(first, second, strict=True))
        larger = any(a > b for a, b in zip(first, second, strict=True))
        return "neither operand covers the other in all axes" if smaller and larger else None
    if min(len(first), len(second)) < 2 or len(first) == len(second):
        return None
    return None if _known_broadcast(first, second) else f"cannot broadcast {first} with {second}"


def _known_broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """The forms that are taken without the option for more."""
    longer, shorter = sorted((first, second), key=len, reverse=True)
    if len(longer) != 4:
        return False
    if len(shorter) == 3:
        return longer[0] == 1
    single = longer[0] == 1 and shorter == (1, 1)
    return single or (longer[0], longer[3]) == shorter


def _convolution(operator: Operator) -> str | None:
    if len(operator.runtime_inputs) > 2:
        return "takes at most two inputs that are no constants"
    if operator.name != "DEPTHWISE_CONV_2D":
        return None
    data, weights, out = operator.input(0), operator.input(1), operator.outputs[0]
    if data is None or weights is None or {len(t.shape) for t in (data, weights, out)} != {4}:
        return "takes four axes"
    multiplier = operator.option("depthMultiplier", 1)
    if out.shape[3] != data.shape[3] * multiplier or weights.shape[3] != out.shape[3]:
        return "its channels do not fit its depth multiplier"
    if multiplier != 1 and data.shape[3] != 1:
        return f"depth multiplier {multiplier:g} on {data.shape[3]} channels"
    return None


def _other(operator: Operator) -> str | None:
    match operator.name:
        case "FULLY_CONNECTED":
            return _fully_connected(operator)
        case "ADD_N" | "BATCH_MATMUL" if len(operator.inputs) != 2:
            return f"takes two inputs, not {len(operator.inputs)}"
        case "CAST":
            ends = operator.inputs[0].dtype, operator.outputs[0].dtype
            return (
                None
                if ends in _CASTS or ends[::-1] in _CASTS
                else f"no cast {ends[0]} to {ends[1]}"
            )
        case "DEQUANTIZE" if operator.inputs[0].dtype == "int16":
            return "converts from no int16"
        case "GATHER":
            return _gather(operator.inputs)
        case "SLICE" | "STRIDED_SLICE":
            return _slice(operator)
        case "SOFTMAX" if operator.option("beta", 1) != 1:
            return f"beta {operator.option('beta'):g} is not 1"
        case "DEPTH_TO_SPACE" | "SPACE_TO_DEPTH" if operator.option("blockSize") <= 1:
            return "block size 1"
        case "RESIZE_BILINEAR" if operator.option("alignCorners") and operator.option(
            "halfPixelCenters"
        ):
            return "aligned corners and half-pixel centres at once"
    return None


def _fully_connected(operator: Operator) -> str | None:
    if operator.option("weightsFormat"):
        return "shuffled weights"
    if operator.is_constant(0) or len(operator.runtime_inputs) > 2:
        return "takes one or two inputs that are no constants"
    same_rank = len(operator.inputs[0].shape) == len(operator.outputs[0].shape)
    if operator.option("keepNumDims") and not same_rank:
        return "it keeps its axes, but not their number"
    return None


def _gather(inputs: tuple[Tensor, ...]) -> str | None:
    if inputs[0].dtype == "int32":
        return "no int32 values"
    if len(inputs[1].shape) != 1 or inputs[1].dtype != "int32":
        return "its indices are no int32 vector"
    return None


def _slice(operator: Operator) -> str | None:
    if len(operator.inputs[0].shape) not in (3, 4):
        return f"slices three or four axes, not {len(operator.inputs[0].shape)}"
    masks = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")
    if any(operator.option(mask) for mask in masks):
        return "slices with an ellipsis, new or dropped axes"
    return None
