"""A float ONNX graph that reports the smallest and largest value of what is to be quantized.

ReduceMin and ReduceMax are placed behind the tensors and become the outputs of the graph, so that
ONNX Runtime keeps reusing its memory. Its own calibrator keeps the extremes of all samples and
merges them at the end; here each sample's own are kept, which every estimator can start from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from edgekit.calibrate.subset import stride
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import nodes
from edgekit.tflite.reductions import InstrumentedGraph

FUSED = ("Relu", "Clip")
"""What becomes part of the range in front of it."""


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
        if node.op_type in FUSED
        and node.name in quantized
        and node.input[0] in made
        and readers[node.input[0]] == 1
    }


def with_extremes(
    model: Any, tensors: tuple[str, ...], *, values: bool = False
) -> InstrumentedGraph:
    """A copy of ``model`` whose outputs are the extremes of ``tensors``, two scalars each, and with
    ``values`` a flat subset of each."""
    onnx = require_onnx()
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.output[:]
    instrumented = InstrumentedGraph(b"", tensors, values)
    sizes = _sizes(model)
    for position, name in enumerate(tensors):
        for op, output in (
            ("ReduceMin", instrumented.min_output(position)),
            ("ReduceMax", instrumented.max_output(position)),
        ):
            made.graph.node.append(onnx.helper.make_node(op, [name], [output], keepdims=0))
            made.graph.output.append(
                onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ())
            )
        if values:
            _add_subset(made, name, sizes[name], instrumented.values_output(position))
    return replace(instrumented, data=made.SerializeToString())


def _add_subset(made: Any, name: str, size: int, output: str) -> None:
    """Every so many values of the tensor called ``name``, as an output called ``output``."""
    onnx = require_onnx()
    numbers = {"all": -1, "from": 0, "to": np.iinfo(np.int64).max, "step": stride(size)}
    for key, number in numbers.items():
        tensor = onnx.numpy_helper.from_array(np.array([number]), f"{output}/{key}")
        made.graph.initializer.append(tensor)
    flat = f"{output}/flat"
    ends = [f"{output}/{key}" for key in ("from", "to")]
    for op, inputs, made_name in (
        ("Reshape", [name, f"{output}/all"], flat),
        # The axes are left out: there is one.
        ("Slice", [flat, *ends, "", f"{output}/step"], output),
    ):
        made.graph.node.append(onnx.helper.make_node(op, inputs, [made_name]))
    made.graph.output.append(
        onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, (None,))
    )


def _sizes(model: Any) -> dict[str, int]:
    """Elements by tensor, one for an axis whose length is not known."""
    graph = model.graph
    return {
        info.name: prod(dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim)
        for info in (*graph.input, *graph.output, *graph.value_info)
    }


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
