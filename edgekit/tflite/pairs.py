"""Which tensor of a quantized graph stands for which of the float graph: by name, ends by place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.numerics.tensor_error import Grid
from edgekit.runtimes.quantized_io import dequantize
from edgekit.tflite.graph import Graph, Tensor
from edgekit.types import Array, QuantParams

_STORED = frozenset({"int8", "uint8", "int16"})


@dataclass(frozen=True)
class Pairs:
    """``stored`` by index of a float graph's activation: the tensor that holds it when quantized,
    integer wherever there is one."""

    stored: dict[int, Tensor]
    missing: tuple[str, ...]
    """Activations of the float graph without a counterpart: fused away, or of another name."""


def pair(reference: Graph, quantized: Graph) -> Pairs:
    """Match the activations of two main graphs."""
    by_name = {tensor.name: tensor for tensor in quantized.tensors if not tensor.constant}
    ends = (
        *zip(reference.inputs, quantized.inputs, strict=False),
        *zip(reference.outputs, quantized.outputs, strict=False),
    )
    at_end = {index: quantized.tensors[other] for index, other in ends}
    stored, missing = {}, []
    for index in activations(reference):
        tensor = reference.tensors[index]
        found = at_end.get(index) or by_name.get(tensor.name)
        if found is None or found.shape != tensor.shape:
            missing.append(tensor.name)
        else:
            stored[index] = _stored(quantized, found)
    return Pairs(stored, tuple(missing))


def activations(graph: Graph) -> tuple[int, ...]:
    """Inputs, then what the operators write, in their order."""
    written = (index for op in graph.ops for index in op.outputs)
    return tuple(
        index
        for index in dict.fromkeys((*graph.inputs, *written))
        if not graph.tensors[index].constant
    )


def _stored(graph: Graph, tensor: Tensor) -> Tensor:
    """The integer tensor behind a float one that only converts from it or to it."""
    if params_of(tensor) is not None:
        return tensor
    producer = graph.producer.get(tensor.index)
    if producer is not None and producer.name == "DEQUANTIZE":
        return graph.tensors[producer.inputs[0]]
    readers = graph.readers.get(tensor.index, ())
    if (
        readers
        and tensor.index not in graph.outputs
        and {op.name for op in readers} == {"QUANTIZE"}
    ):
        return graph.tensors[readers[0].outputs[0]]
    return tensor


def grid_of(tensor: Tensor) -> Grid | None:
    """What a tensor of one scale can hold; ``None`` for a float one."""
    params = params_of(tensor)
    if params is None:
        return None
    ends = np.iinfo(tensor.dtype)
    low, high = (params.scale * (end - params.zero_point) for end in (ends.min, ends.max))
    return Grid(params.scale, low, high)


def params_of(tensor: Tensor) -> QuantParams | None:
    """Of a tensor of one scale; ``None`` for a float one, which may carry a scale all the same."""
    if len(tensor.scales) != 1 or tensor.dtype not in _STORED:
        return None
    return QuantParams(tensor.scales[0], tensor.zero_points[0] if tensor.zero_points else 0)


def real(values: Array, tensor: Tensor) -> Array:
    """The values of ``tensor`` as an operator of the float graph reads them."""
    params = params_of(tensor)
    return values if params is None else dequantize(values, params)
