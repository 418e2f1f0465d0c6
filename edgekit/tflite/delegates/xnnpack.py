"""Which operators XNNPACK takes, as LiteRT builds it for the CPU by default.

The rules are read from tflite/delegates/xnnpack/xnnpack_delegate.cc of google-ai-edge/LiteRT
(before: tensorflow/lite/delegates/xnnpack/xnnpack_delegate.cc) and its README, and were compared
with what ai-edge-litert 2.3 does, operator by operator (tests/tflite/delegates/test_xnnpack.py).
Older runtimes, and builds without its flags for 8-bit types, take less.
"""

from __future__ import annotations

from edgekit.tflite.delegates.operator import Operator

ASSUMES = "LiteRT 2.3 on the CPU, with its defaults"
MAX_PARTITIONS: int | None = None

_FLOAT_ONLY = frozenset(
    {
        *("ABS", "CEIL", "COS", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LOG", "NEG", "RELU"),
        *("RELU6", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "DIV", "MAXIMUM"),
        *("MINIMUM", "PRELU", "SQUARED_DIFFERENCE", "AVERAGE_POOL_2D", "SOFTMAX"),
    }
)
_EIGHT_BITS_TOO = frozenset(
    {
        *("LEAKY_RELU", "LOGISTIC", "TANH", "ELU", "ADD", "SUB", "MUL", "MAX_POOL_2D", "MEAN"),
        *("SUM", "REDUCE_MAX", "REDUCE_MIN", "CONCATENATION", "PAD", "RESHAPE", "TRANSPOSE"),
        *("RESIZE_BILINEAR", "SLICE", "STRIDED_SLICE", "SPLIT", "DEPTH_TO_SPACE"),
        *("SPACE_TO_DEPTH", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
        *("TRANSPOSE_CONV", "QUANTIZE", "DEQUANTIZE"),
    }
)
_SIGNED_ONLY = frozenset({"ELU", "BATCH_MATMUL"})
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_DYNAMIC = frozenset({"CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"})
_ACTIVATIONS = frozenset({"NONE", "RELU", "RELU_N1_TO_1", "RELU6"})
# What says how they work is to be a constant, from this input on.
_CONSTANTS_FROM = {
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "PAD", "TRANSPOSE", "SLICE"), 1),
    **dict.fromkeys(("STRIDED_SLICE", "RESIZE_BILINEAR"), 1),
}
_CONCATENATED = (2, 5)
_SPLIT = (2, 4)
# Constants of these types that a DEQUANTIZE makes float are unpacked as the model loads.
_UNPACKED = frozenset({"float16", "int8"})
_SCALE_RATIO = (1 / 256, 128)


def why_not(operator: Operator) -> str | None:
    """Why it stays with the built-in kernels; ``None`` where XNNPACK takes it."""
    if operator.name not in _FLOAT_ONLY | _EIGHT_BITS_TOO:
        return "no such operator in XNNPACK"
    return (
        _types(operator)
        or _activation(operator)
        or _constants(operator)
        or _counts(operator)
        or _values(operator)
    )


def _types(operator: Operator) -> str | None:
    if operator.name in ("QUANTIZE", "DEQUANTIZE"):
        return _conversion(operator)
    dtype = operator.dtype
    if dtype == "float32":
        return _weights(operator)
    if dtype not in ("int8", "uint8"):
        return f"no {dtype} activations"
    if operator.name in _FLOAT_ONLY or (dtype == "uint8" and operator.name in _SIGNED_ONLY):
        return f"takes no {dtype} here"
    return _weights(operator)


def _conversion(operator: Operator) -> str | None:
    source, target = operator.inputs[0], operator.outputs[0]
    if operator.name == "DEQUANTIZE":
        if source.constant and source.dtype in _UNPACKED:
            return None
        if source.dtype not in ("int8", "uint8") or len(source.scales) > 1:
            return f"converts from no {source.dtype} tensor with {len(source.scales)} scales"
        return None
    if target.dtype not in ("int8", "uint8"):
        return f"converts to no {target.dtype}"
    if source.dtype == "float32":
        return None
    if source.dtype != target.dtype:
        return f"converts no {source.dtype} to {target.dtype}"
    return _scale_ratio(source.scales, target.scales)


def _weights(operator: Operator) -> str | None:
    weights = operator.input(1)
    if operator.name not in _WEIGHTED | {"BATCH_MATMUL"} or weights is None:
        return None
    values = operator.input(2) if operator.name == "TRANSPOSE_CONV" else operator.input(0)
    dtype = "" if values is None else values.dtype
    if weights.dtype == dtype:
        return None
    if (dtype, weights.dtype) in (("float32", "int8"), ("float32", "int4")):
        dynamic = operator.name in _DYNAMIC and (
            weights.dtype == "int8" or operator.name == "FULLY_CONNECTED"
        )
        return None if dynamic else f"no {weights.dtype} weights with float activations"
    if operator.name == "FULLY_CONNECTED" and (dtype, weights.dtype) == ("int8", "int4"):
        return None
    return f"no {weights.dtype} weights with {dtype} activations"


def _is_unpacked(operator: Operator, index: int) -> bool:
    producer = operator.graph.producer.get(index)
    if producer is None or producer.name != "DEQUANTIZE":
        return False
    source = operator.graph.tensors[producer.inputs[0]]
    return source.constant and source.dtype in _UNPACKED


def _activation(operator: Operator) -> str | None:
    fused = operator.op.activation
    return None if fused in _ACTIVATIONS else f"fused {fused} is not supported"


def _constants(operator: Operator) -> str | None:
    if operator.name in _WEIGHTED:
        start = 1 if operator.name != "TRANSPOSE_CONV" else 0
        positions = [at for at in (start, start + 1) if operator.input(at) is not None]
        if operator.name == "TRANSPOSE_CONV":
            positions = [0, 1]
        for position in positions:
            tensor = operator.input(position)
            if tensor is None or tensor.constant or _is_unpacked(operator, tensor.index):
                continue
            if operator.name == "FULLY_CONNECTED" and tensor.dtype == "float32":
                continue
            return "its weights are computed, not constant"
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D") and operator.input(2) is None:
            return "it has no bias"
        return None
    start = _CONSTANTS_FROM.get(operator.name, len(operator.op.inputs))
    if all(operator.is_constant(at) for at in range(start, len(operator.op.inputs))):
        return None
    return "its axes, sizes or paddings are computed, not constant"


def _counts(operator: Operator) -> str | None:
    if operator.name == "CONCATENATION":
        return _within(len(operator.inputs), _CONCATENATED, "inputs")
    if operator.name == "SPLIT":
        return _within(len(operator.outputs), _SPLIT, "outputs")
    return None


def _within(count: int, limits: tuple[int, int], what: str) -> str | None:
    low, high = limits
    return None if low <= count <= high else f"takes {low} to {high} {what}, not {count}"


def _values(operator: Operator) -> str | None:
    if operator.name == "SOFTMAX" and operator.option("beta", 1) != 1:
        return f"beta {operator.option('beta'):g} is not 1"
    if operator.name == "STRIDED_SLICE":
        if any(operator.option(f"{mask}Mask") for mask in ("ellipsis", "newAxis", "shrinkAxis")):
            return "slices with an ellipsis, new or dropped axes"
        strides = operator.input(3)
        if strides is not None and any(step != 1 for step in strides.values):
            return f"strides {list(strides.values)} are not all 1"
    if operator.name == "PAD":
        paddings = operator.input(1)
        if paddings is not None and any(size < 0 for size in paddings.values):
            return "negative paddings"
    if operator.name == "LEAKY_RELU" and not operator.option("alpha"):
        return "alpha is 0"
    if operator.name == "LEAKY_RELU" and operator.dtype != "float32":
        return _scale_ratio(operator.inputs[0].scales, operator.outputs[0].scales)
    if operator.name == "FULLY_CONNECTED" and operator.op.version == 8:
        return "sparse weights"
    return None


def _scale_ratio(source: tuple[float, ...], target: tuple[float, ...]) -> str | None:
    low, high = _SCALE_RATIO
    if not source or not target or low <= source[0] / target[0] <= high:
        return None
    return f"the scales' ratio {source[0] / target[0]:.3g} is outside 1/256 to 128"
