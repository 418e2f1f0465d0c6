"""Constants of a model file: read them, put others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.types import Array


def constant_array(model: Any, tensor: Any) -> Array:
    """The values of ``tensor``, a constant in the object tree ``model``; read-only."""
    dtype = flatbuffer.enum_names("TensorType")[tensor.type].lower()
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    values: Array = np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(shape)
    return values


def with_constants(data: bytes, values: Mapping[int, Array]) -> bytes:
    """The model with other values, by tensor index of the main subgraph; shapes and types stay.

    A buffer that several tensors share stays as it is for the others.

    Raises:
        ValueError: a value of another shape or type.
    """
    if not values:
        return data
    model = flatbuffer.unpack(data)
    tensors = model.subgraphs[0].tensors
    for index, value in values.items():
        old = constant_array(model, tensors[index])
        if (old.shape, old.dtype) != (value.shape, value.dtype):
            raise ValueError(
                f"{flatbuffer.text(tensors[index].name)}: {value.dtype}{value.shape} in place of "
                f"{old.dtype}{old.shape}"
            )
        put_constant(model, tensors[index], value)
    return flatbuffer.pack(model)


def put_constant(model: Any, tensor: Any, value: Array) -> None:
    """Give ``tensor`` of the object tree other bytes. Others that share its buffer keep theirs; a
    buffer that nobody else reads is overwritten, since one that is left behind stays in the file.
    """
    owners = [each for graph in model.subgraphs for each in graph.tensors]
    if sum(each.buffer == tensor.buffer for each in owners) > 1:
        tensor.buffer = len(model.buffers)
        model.buffers.append(flatbuffer.schema().BufferT())
    content = np.frombuffer(np.ascontiguousarray(value).tobytes(), dtype=np.uint8)
    model.buffers[tensor.buffer].data = content
