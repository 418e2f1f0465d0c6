"""A float ONNX graph that reports the smallest and largest value of what is to be quantized.

ReduceMin and ReduceMax are placed behind the tensors and become the outputs of the graph, so that
ONNX Runtime keeps reusing its memory. Its own calibrator keeps the extremes of all samples and
merges them at the end; here each sample's own are kept, which every estimator can start from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes
from edgekit.tflite.reductions import InstrumentedGraph

_FUSED = ("Relu", "Clip")


def observed_tensors(model: Any, quantized: Collection[str]) -> tuple[str, ...]:
    """The float activations that the nodes called in ``quantized`` read or write, in graph order;
    all but those that only a Relu or Clip reads, which take the range behind it."""
    constants = {tensor.name for tensor in model.graph.initializer}
    floats = _float_tensors(model) - constants
    behind = fused_inputs(model, quantized)
    found: dict[str, None] = {}
    for node in model.graph.node:
        if node.name in quantized:
            for name in (*node.input, *node.output):
                if name in floats and name not in behind:
                    found[name] = None
    return tuple(found)


def fused_inputs(model: Any, quantized: Collection[str]) -> dict[str, str]:
    """By the input of each Relu and Clip that nothing else reads, its output."""
    readers: dict[str, int] = {}
    for name in _all_reads(model):
        readers[name] = readers.get(name, 0) + 1
    made = {name for node in model.graph.node for name in node.output}
    return {
        node.input[0]: node.output[0]
        for node in model.graph.node
        if node.op_type in _FUSED
        and node.name in quantized
        and node.input[0] in made
        and readers[node.input[0]] == 1
    }


def with_extremes(model: Any, tensors: tuple[str, ...]) -> InstrumentedGraph:
    """A copy of ``model`` whose outputs are the extremes of ``tensors``, two scalars each."""
    onnx = require_onnx()
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.output[:]
    instrumented = InstrumentedGraph(b"", tensors)
    for position, name in enumerate(tensors):
        for op, output in (
            ("ReduceMin", instrumented.min_output(position)),
            ("ReduceMax", instrumented.max_output(position)),
        ):
            made.graph.node.append(onnx.helper.make_node(op, [name], [output], keepdims=0))
            made.graph.output.append(
                onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ())
            )
    return InstrumentedGraph(made.SerializeToString(), tensors)


def _float_tensors(model: Any) -> set[str]:
    graph = model.graph
    return {
        info.name
        for info in (*graph.input, *graph.output, *graph.value_info)
        if info.type.tensor_type.elem_type == require_onnx().TensorProto.FLOAT
    }


def _all_reads(model: Any) -> Iterator[str]:
    """Every reading of a tensor: by a node, by one in a graph inside, or as an output."""
    yield from (name for node in nodes(model.graph.node) for name in node.input)
    yield from (info.name for info in model.graph.output)
