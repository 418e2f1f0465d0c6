"""The version an operator's types and options need, whatever the file declares.

Converters write it into the file; ai-edge-quantizer leaves the float graph's, which is too low: a
runtime that has just the declared version accepts the file and then has no kernel. The rules are
those of tensorflow/lite/tools/versioning/op_version.cc (now google-ai-edge/LiteRT,
tflite/tools/versioning/op_version.cc), as far as quantized networks meet them.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.tflite.graph import Graph, Op

# The version in which they came to take int8, and then int16.
_BY_INPUT: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        ("SOFTMAX", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RSQRT", "MIRROR_PAD"), (2, 3)
    ),
    **dict.fromkeys(("TANH", "LOGISTIC", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD"), (2, 3)),
    **dict.fromkeys(("CONCATENATION", "PACK", "BATCH_MATMUL", "RELU"), (2, 3)),
    **dict.fromkeys(("GATHER", "MUL", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), (2, 4)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "UNPACK", "SLICE"), (2, 4)),
    **dict.fromkeys(("TRANSPOSE", "SUB"), (2, 5)),
    **dict.fromkeys(("PAD", "PADV2"), (2, 3)),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "EQUAL", "NOT_EQUAL", "STRIDED_SLICE"), (2, 1)),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), (2, 4)),
    "LEAKY_RELU": (1, 2),
    "TILE": (3, 1),
    "ABS": (2, 3),
    "REVERSE_V2": (3, 1),
}
_VALUE_AT = {"SPLIT": 1}
"""Where an operator's values are, if not first."""
_BY_RANK = {"PAD": (4, 4), "PADV2": (4, 4), "TRANSPOSE": (4, 4), "SLICE": (4, 5)}
"""The most axes before the version that has more."""


def needed_version(graph: Graph, op: Op) -> int:
    """The version that ``op`` needs, at least; never less than 1."""
    rule = _RULES.get(op.name)
    if rule is not None:
        return rule(graph, op)
    values = _tensor(graph, op, _VALUE_AT.get(op.name, 0))
    if values is None:
        return 1
    int8, int16 = _BY_INPUT.get(op.name, (1, 1))
    version = {"int8": int8, "int16": int16}.get(values[0], 1)
    axes, beyond = _BY_RANK.get(op.name, (len(values[1]), 1))
    return max(version, beyond if len(values[1]) > axes else 1, _by_options(op))


def _tensor(graph: Graph, op: Op, position: int) -> tuple[str, tuple[int, ...]] | None:
    """Type and shape of an input, if there is such."""
    if len(op.inputs) <= position or op.inputs[position] < 0:
        return None
    tensor = graph.tensors[op.inputs[position]]
    return tensor.dtype, tensor.shape


def _by_options(op: Op) -> int:
    centred = op.options.get("halfPixelCenters", False)
    if op.name == "RESIZE_BILINEAR" and centred:
        return 3
    if op.name == "RESIZE_NEAREST_NEIGHBOR" and (centred or op.options.get("alignCorners", False)):
        return 3
    return 1


def _types(graph: Graph, op: Op) -> tuple[str, str]:
    """Of the first input and of the weights."""
    return tuple((_tensor(graph, op, at) or ("", ()))[0] for at in (0, 1))  # type: ignore[return-value]


def _per_channel(graph: Graph, op: Op) -> bool:
    return len(graph.tensors[op.inputs[1]].scales) > 1


def _conv(graph: Graph, op: Op) -> int:
    match _types(graph, op):
        case ("float32", "int8"):
            return 5 if _per_channel(graph, op) else 2
        case ("int8", "int4"):
            return 7
        case ("int16", _):
            return 8 if op.options.get("quantizedBiasType", 0) else 4
    data, weights = _tensor(graph, op, 0), _tensor(graph, op, 1)
    if data and weights and len(data[1]) == len(weights[1]) == 4 and data[1][3] != weights[1][3]:
        return 6  # in groups
    return 3 if _types(graph, op) == ("int8", "int8") else 1


def _depthwise(graph: Graph, op: Op) -> int:
    match _types(graph, op):
        case ("int16", _):
            return 5
        case ("float32", "int8"):
            return 6 if _per_channel(graph, op) else 4
        case ("int8", "int8"):
            return 3
        case ("int8", "int4"):
            return 7
    dilated = any(op.options.get(f"dilation{axis}Factor", 1) != 1 for axis in "WH")
    return 2 if dilated else 1


def _fully_connected(graph: Graph, op: Op) -> int:
    types = _types(graph, op)
    if types == ("int16", "int4"):
        return 13
    if types == ("float32", "int8") and _per_channel(graph, op):
        return 12
    if types[0] == "int16":
        return 11 if op.options.get("quantizedBiasType", 0) else 7
    if len(op.inputs) == 2:
        return 6
    if op.options.get("keepNumDims", False):
        return 5
    if types == ("float32", "int8"):
        return 9 if op.options.get("asymmetricQuantizeInputs", False) else 3
    return {("int8", "int8"): 4, ("int8", "int4"): 10}.get(types, 1)


def _transpose_conv(graph: Graph, op: Op) -> int:
    if op.options.get("fusedActivationFunction", 0):
        return 4
    if _tensor(graph, op, 3) is not None:
        return 3
    return 2 if _types(graph, op)[1] == "int8" else 1


def _split(graph: Graph, op: Op) -> int:
    return {"int16": 4, "int32": 3, "int8": 2}.get(_types(graph, op)[1], 1)


def _dequantize(graph: Graph, op: Op) -> int:
    tensor = graph.tensors[op.inputs[0]]
    if tensor.dtype == "int8":
        return 5 if len(tensor.scales) > 1 else 2
    return {"int4": 6, "int16": 3, "float16": 3}.get(tensor.dtype, 1)


def _quantize(graph: Graph, op: Op) -> int:
    written = graph.tensors[op.outputs[0]]
    if "int4" in (written.dtype, _types(graph, op)[0]):
        return 4
    return 3 if len(written.scales) > 1 else 2 if written.dtype == "int16" else 1


_RULES: dict[str, Callable[[Graph, Op], int]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "SPLIT": _split,
    "DEQUANTIZE": _dequantize,
    "QUANTIZE": _quantize,
}
