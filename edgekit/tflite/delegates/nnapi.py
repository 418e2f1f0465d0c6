"""Which operators the NNAPI delegate passes on, on Android 11 and later (NNAPI 1.3).

The rules are those of ``NNAPIDelegateKernel::Validate`` in
tensorflow/lite/delegates/nnapi/nnapi_delegate.cc (now google-ai-edge/LiteRT,
tflite/delegates/nnapi/nnapi_delegate.cc); three partitions at most go to NNAPI, by
``max_number_delegated_partitions`` in nnapi_delegate.h. What a vendor's driver then refuses cannot
be known from the file. Android 15 deprecates NNAPI.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.tflite.delegates.operator import Operator

ASSUMES = "Android 11 or later (NNAPI 1.3), a driver that takes whatever NNAPI has"
MAX_PARTITIONS: int | None = 3

_FLOAT = ("float32", "float16")
_QUANT8 = ("int8", "uint8")
_INT32 = ("int32",)
_STORED = ("float32", *_QUANT8)


@dataclass(frozen=True)
class _Rule:
    """The highest version, the types of the values, which input holds them, and the inputs that
    have to be constants."""

    version: int
    types: tuple[str, ...] = ()
    values: int = 0
    constants: tuple[int, ...] = ()


_ANY = _FLOAT + _QUANT8
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("ADD",), _Rule(2, _ANY + _INT32)),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _Rule(2, _ANY + _INT32)),
    "MUL": _Rule(3, _ANY + _INT32),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _Rule(2, _ANY)),
    "L2_POOL_2D": _Rule(1, _FLOAT),
    "CONV_2D": _Rule(5),
    "DEPTHWISE_CONV_2D": _Rule(3),
    "FULLY_CONNECTED": _Rule(5),
    "HARD_SWISH": _Rule(1, _ANY),
    "SOFTMAX": _Rule(2, _ANY),
    "RESHAPE": _Rule(1, _ANY, constants=(1,)),
    "RESIZE_BILINEAR": _Rule(3, _ANY, constants=(1,)),
    "RESIZE_NEAREST_NEIGHBOR": _Rule(3, _ANY, constants=(1,)),
    "SQUEEZE": _Rule(1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _Rule(2),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _Rule(1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _Rule(1),
    "L2_NORMALIZATION": _Rule(2),
    "LOCAL_RESPONSE_NORMALIZATION": _Rule(1),
    "CONCATENATION": _Rule(2, _ANY),
    "DEQUANTIZE": _Rule(2, _QUANT8),
    "QUANTIZE": _Rule(2, _STORED),
    "FLOOR": _Rule(1),
    **dict.fromkeys(("RELU", "RELU_N1_TO_1", "RELU6", "LOGISTIC", "TANH"), _Rule(2, _ANY)),
    "SUB": _Rule(3, _ANY + _INT32),
    "DIV": _Rule(1, ("float32",)),
    **dict.fromkeys(("PAD", "PADV2"), _Rule(2, _ANY)),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "STRIDED_SLICE"), _Rule(2)),
    "TRANSPOSE": _Rule(2, constants=(1,)),
    **dict.fromkeys(("ABS", "EXP", "LOG", "RSQRT", "POW", "SIN", "SQRT"), _Rule(1, _FLOAT)),
    "SLICE": _Rule(2, _STORED + _INT32),
    "TRANSPOSE_CONV": _Rule(3, constants=(0, 1)),
    "SPACE_TO_DEPTH": _Rule(2, _STORED),
    "DEPTH_TO_SPACE": _Rule(2, _STORED),
    "MEAN": _Rule(2, _STORED),
    "EMBEDDING_LOOKUP": _Rule(1, ("float32",), values=1),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), _Rule(3, _STORED + _INT32)),
    "CAST": _Rule(1, _STORED + _INT32),
    **dict.fromkeys(("LEAKY_RELU", "PRELU"), _Rule(1, _STORED)),
    "TILE": _Rule(1, _STORED + _INT32),
    **dict.fromkeys(("LOGICAL_OR", "LOGICAL_AND", "LOGICAL_NOT"), _Rule(1, ("bool",))),
    **dict.fromkeys(
        ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"),
        _Rule(2, (*_STORED, "bool", "int32")),
    ),
    "NEG": _Rule(2, ("float32", "int32")),
    "TOPK_V2": _Rule(2, _STORED + _INT32, constants=(1,)),
    "SELECT": _Rule(2, _STORED + _INT32, values=1),
    "GATHER": _Rule(2, _ANY + _INT32),
    "EXPAND_DIMS": _Rule(1, _ANY + _INT32, constants=(1,)),
    "SPLIT": _Rule(3, _STORED + _INT32, values=1, constants=(0,)),
    "SPLIT_V": _Rule(2, _STORED + _INT32, constants=(1, 2)),
    "LOG_SOFTMAX": _Rule(1, ("float32",)),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), _Rule(2, _STORED)),
    "REDUCE_ANY": _Rule(2),
}
_RANK_4 = frozenset({"SOFTMAX", "CONCATENATION", "SUB"})
_HYBRID_REFUSED = frozenset(
    {
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    }
)


def why_not(operator: Operator) -> str | None:
    """Why it stays on the CPU; ``None`` where the delegate passes it to NNAPI."""
    rule = _RULES.get(operator.name)
    if rule is None:
        return "no such operator in NNAPI"
    values = operator.input(rule.values)
    if operator.name == "DEQUANTIZE" and values is not None and values.dtype == "float16":
        # Weights stay on the CPU; activations are converted from Android 11 on.
        return "converts constants of float16 on the CPU" if values.constant else None
    if operator.op.version > rule.version:
        return f"version {operator.op.version}, and NNAPI knows {rule.version}"
    if rule.types and values is not None and values.dtype not in rule.types:
        return f"takes no {values.dtype} here"
    for position in rule.constants:
        if operator.input(position) is not None and not operator.is_constant(position):
            return "its axes, sizes or weights are computed, not constant"
    return _form(operator)


def _form(operator: Operator) -> str | None:
    name, data = operator.name, operator.input(0)
    if name in _RANK_4 and any(len(tensor.shape) > 4 for tensor in operator.runtime_inputs):
        return "more than four axes"
    integer = data is not None and data.dtype == "int32"
    if name in ("ADD", "MUL", "SUB") and integer and operator.op.activation != "NONE":
        return "fused activation on int32"
    if name == "CONCATENATION" and operator.op.activation != "NONE":
        return f"fused {operator.op.activation} is not supported"
    if name in _HYBRID_REFUSED and operator.op.inputs[1:2]:
        weights = operator.input(2 if "LSTM" in name else 1)
        if weights is not None and weights.dtype == "int8":
            return "INT8 weights with float activations"
    match name:
        case "CONV_2D" if operator.input(2) is None:
            return "it has no bias"
        case "FULLY_CONNECTED" if operator.outputs[0].dtype == "int16":
            return "takes no int16 here"
        case "MEAN" | "REDUCE_ANY" if not operator.outputs[0].shape:
            return "its output is a single number"
        case "ARG_MAX" | "ARG_MIN" if operator.outputs[0].dtype != "int32":
            return f"its output is {operator.outputs[0].dtype}, and NNAPI gives int32"
        case "QUANTIZE" if operator.outputs[0].dtype not in _QUANT8:
            return f"converts to no {operator.outputs[0].dtype}"
        case "RESIZE_BILINEAR" if len(operator.inputs[0].shape) != 4:
            return "takes four axes"
        case "BATCH_TO_SPACE_ND":
            crops = operator.input(2)
            if crops is None or crops.values != (0, 0, 0, 0):
                return "crops that are not 0"
        case "GATHER":
            indices = operator.input(1)
            if indices is None or indices.dtype != "int32" or not indices.shape:
                return "its indices are no int32 vector"
        case "SELECT" if operator.inputs[0].shape != operator.inputs[1].shape:
            return "condition and values differ in shape"
    return None
