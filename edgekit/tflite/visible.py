"""A graph made to show what happens inside: every activation an output, every operator alone.

Both edits keep the indices of the tensors, and use the operators and kernels of plain inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.graph import Graph, Tensor, parse_graph

SIGNATURE = "visible"
_UNFED = frozenset({"resource", "variant", "string"})


@dataclass(frozen=True)
class VisibleGraph:
    """``data`` is the edited model; ``inputs`` and ``outputs`` are its ends: name by the index of
    the tensor it stands for in ``graph``, the model as it was."""

    data: bytes
    graph: Graph
    inputs: Mapping[int, str]
    outputs: Mapping[int, str]


def with_all_activations(data: bytes) -> VisibleGraph:
    """Every activation that an operator writes is an output; the inputs stay, with their names."""
    graph = parse_graph(data)
    model = flatbuffer.unpack(data)
    inputs = dict(zip(graph.inputs, graph.input_names, strict=True))
    outputs = _written(graph)
    _set_ends(model, {i: (name, i) for i, name in inputs.items()}, outputs)
    return VisibleGraph(flatbuffer.pack(model), graph, inputs, outputs)


def with_loose_operators(data: bytes) -> VisibleGraph:
    """Every operator by itself: what it reads are inputs, what it writes are outputs.

    The inputs take any size; handles of variables still go from operator to operator.
    """
    graph = parse_graph(data)
    model = flatbuffer.unpack(data)
    main = model.subgraphs[0]
    read = [i for op in graph.ops for i in op.inputs if i >= 0]
    ends: dict[int, tuple[str, int]] = {}
    for index in dict.fromkeys(read):
        if _feedable(graph.tensors[index]):
            name = f"in/{index}"
            tensor = main.tensors[index]
            shape = graph.tensors[index].shape
            added = flatbuffer.add_tensor(model, main, name, shape, tensor.type)
            main.tensors[added].quantization = tensor.quantization
            main.tensors[added].shapeSignature = np.full(len(shape), -1, np.int32)
            ends[index] = (name, added)
    for operator in main.operators:
        if operator.inputs is not None:
            operator.inputs = [ends[i][1] if i in ends else i for i in map(int, operator.inputs)]
    outputs = _written(graph)
    _set_ends(model, ends, outputs)
    return VisibleGraph(
        flatbuffer.pack(model), graph, {index: name for index, (name, _) in ends.items()}, outputs
    )


def _written(graph: Graph) -> dict[int, str]:
    return {i: f"out/{i}" for op in graph.ops for i in op.outputs if _feedable(graph.tensors[i])}


def _feedable(tensor: Tensor) -> bool:
    return not tensor.constant and tensor.dtype not in _UNFED


def _set_ends(
    model: Any, inputs: Mapping[int, tuple[str, int]], outputs: Mapping[int, str]
) -> None:
    main = model.subgraphs[0]
    main.inputs, main.outputs = [index for _, index in inputs.values()], list(outputs)
    named = [(name, index) for index, name in outputs.items()]
    model.signatureDefs = [flatbuffer.make_signature(SIGNATURE, inputs.values(), named)]
