"""Biases that int32 can hold: a bias has the scale of its input times that of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.errors import ConversionError
from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import put_constant
from edgekit.types import Array

_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Where an operator has its bias; its weights are input 1."""
# The sum of the products is added to it in 32 bits.
_LARGEST = 2.0**30


def with_biases_in_range(data: bytes, floats: bytes) -> bytes:
    """Give channels whose bias does not fit into int32 a coarser weight scale.

    A pruned or dead channel has weights near zero, so its scale is near zero too, and its bias, all
    that it answers, is cut off. With the scale that the bias asks for, such weights round to fewer
    steps, which are smaller than one step of the output. ``floats`` is the graph that ``data`` was
    quantized from. Unchanged bytes where every bias fits.

    Raises:
        ConversionError: weights that are no numbers.
    """
    model = flatbuffer.unpack(data)
    wanted = _float_constants(floats)
    builtins = flatbuffer.enum_names("BuiltinOperator")
    graph = model.subgraphs[0]
    readers = [int(index) for op in graph.operators for index in op.inputs]
    changed = False
    for op in graph.operators:
        place = _BIAS.get(builtins[flatbuffer.builtin_of(model.operatorCodes[op.opcodeIndex])])
        if place is None or len(op.inputs) <= place or op.inputs[place] < 0:
            continue
        weights, bias = (graph.tensors[op.inputs[index]] for index in (1, place))
        exact = wanted.get(bias.name)
        own = all(readers.count(int(op.inputs[index])) == 1 for index in (1, place))
        if exact is not None and own and _is_by_channel(weights, bias):
            changed |= _widen(model, weights, bias, exact)
    return flatbuffer.pack(model) if changed else data


def _widen(model: Any, weights: Any, bias: Any, exact: Array) -> bool:
    scales = np.asarray(bias.quantization.scale, np.float64)
    if not np.isfinite(scales).all():
        raise ConversionError(f"{flatbuffer.text(weights.name)} holds NaN or infinity")
    factors = np.maximum(np.abs(exact) / (scales * _LARGEST), 1.0)
    if (factors == 1.0).all():
        return False
    axis = weights.quantization.quantizedDimension
    shape = [-1 if index == axis else 1 for index in range(len(weights.shape))]
    held = np.frombuffer(bytes(model.buffers[weights.buffer].data), np.int8)
    narrowed = np.rint(held.reshape(weights.shape) / factors.reshape(shape)).astype(np.int8)
    kept = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int32)
    moved = np.where(factors > 1.0, np.rint(exact / (scales * factors)), kept).astype(np.int32)
    for tensor, values in ((weights, narrowed), (bias, moved)):
        own_scales = np.asarray(tensor.quantization.scale, np.float64) * factors
        tensor.quantization.scale = own_scales.astype(np.float32)
        put_constant(model, tensor, values)
    return True


def _is_by_channel(weights: Any, bias: Any) -> bool:
    types = flatbuffer.schema().TensorType
    channels = int(np.prod(bias.shape))
    return (weights.type, bias.type) == (types.INT8, types.INT32) and all(
        tensor.quantization is not None
        and tensor.quantization.scale is not None
        and len(tensor.quantization.scale) == channels
        for tensor in (weights, bias)
    )


def _float_constants(data: bytes) -> dict[bytes, Array]:
    model = flatbuffer.unpack(data)
    float32 = flatbuffer.schema().TensorType.FLOAT32
    return {
        tensor.name: np.frombuffer(bytes(held), np.float32)
        for tensor in model.subgraphs[0].tensors
        if tensor.type == float32
        and len(tensor.shape if tensor.shape is not None else ()) == 1
        and (held := model.buffers[tensor.buffer].data) is not None
    }
