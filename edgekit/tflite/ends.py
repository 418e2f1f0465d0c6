"""A model's ends: the element types of its inputs and outputs, and the signatures that name them.

The quantizer leaves every end int8. What else an app wants is added here, behind the last operator
and before the first: the quantizer's own way feeds the new tensor to inner readers too, which a
model with an output that is read on does not survive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer

# Between int8 and uint8 of the same meaning: the scale stays, the zero point moves.
_UNSIGNED_SHIFT = 128


def with_end_types(data: bytes, *, input_dtype: str, output_dtype: str) -> bytes:
    """Give the int8 inputs and outputs of a quantized model other types: ``float32``, ``uint8``.

    Ends of any other type than int8 are left as they are. The new ends take over the names.
    """
    if input_dtype == output_dtype == "int8":
        return data
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    int8 = flatbuffer.schema().TensorType.INT8
    before: list[Any] = []
    after: list[Any] = []
    for ends, dtype, added in (
        ("inputs", input_dtype, before),
        ("outputs", output_dtype, after),
    ):
        moved: dict[int, int] = {}
        for index in dict.fromkeys(map(int, getattr(graph, ends))):
            if dtype == "int8" or graph.tensors[index].type != int8:
                continue
            moved[index] = end = _end_like(model, graph, index, dtype)
            source, target = (end, index) if ends == "inputs" else (index, end)
            added.append(_conversion(model, graph, source, target))
        setattr(graph, ends, [moved.get(int(i), int(i)) for i in getattr(graph, ends)])
        for signature in model.signatureDefs or ():
            if signature.subgraphIndex == 0:
                for entry in getattr(signature, ends):
                    entry.tensorIndex = moved.get(entry.tensorIndex, entry.tensorIndex)
    if not before and not after:
        return data
    graph.operators = [*before, *graph.operators, *after]
    return flatbuffer.pack(model)


def restore_signatures(data: bytes, original: bytes) -> bytes:
    """Let the signatures of ``data`` name the ends they name in ``original``.

    Both have the same signatures, and as many inputs and outputs in the same order. For an editor
    that puts another tensor at an end (a QUANTIZE behind it) and leaves the signature pointing to
    the old one, which no runtime can then read. Unchanged bytes where all is right.
    """
    model, reference = flatbuffer.unpack(data), flatbuffer.unpack(original)
    changed = False
    pairs = zip(model.signatureDefs or (), reference.signatureDefs or (), strict=True)
    for found, wanted in pairs:
        graph = model.subgraphs[found.subgraphIndex]
        before = reference.subgraphs[wanted.subgraphIndex]
        for ends in ("inputs", "outputs"):
            now = zip(map(int, getattr(before, ends)), map(int, getattr(graph, ends)), strict=True)
            moved = dict(now)
            named = {entry.name: moved[entry.tensorIndex] for entry in getattr(wanted, ends)}
            for entry in getattr(found, ends):
                if entry.tensorIndex != named[entry.name]:
                    entry.tensorIndex = named[entry.name]
                    changed = True
    return flatbuffer.pack(model) if changed else data


def _end_like(model: Any, graph: Any, index: int, dtype: str) -> int:
    """A tensor for the values of the int8 tensor ``index``, under its name."""
    schema = flatbuffer.schema()
    inner = graph.tensors[index]
    name = flatbuffer.text(inner.name)
    shape = () if inner.shape is None else tuple(map(int, inner.shape))
    added = flatbuffer.add_tensor(
        model, graph, name, shape, getattr(schema.TensorType, dtype.upper())
    )
    graph.tensors[added].shapeSignature = inner.shapeSignature
    if dtype != "float32":
        quantization = schema.QuantizationParametersT()
        quantization.scale = inner.quantization.scale
        quantization.zeroPoint = np.asarray(inner.quantization.zeroPoint) + _UNSIGNED_SHIFT
        graph.tensors[added].quantization = quantization
    inner.name = f"{name}/int8".encode()
    return added


def _conversion(model: Any, graph: Any, source: int, target: int) -> Any:
    schema = flatbuffer.schema()
    real = graph.tensors[target].type == schema.TensorType.FLOAT32
    name = "DEQUANTIZE" if real else "QUANTIZE"
    options = "DequantizeOptions" if real else "QuantizeOptions"
    operator = schema.OperatorT()
    # The first version of DEQUANTIZE took uint8 only.
    operator.opcodeIndex = flatbuffer.add_operator_code(
        model, getattr(schema.BuiltinOperator, name), version=2 if real else 1
    )
    operator.inputs, operator.outputs = [source], [target]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
    operator.builtinOptions = getattr(schema, f"{options}T")()
    return operator
