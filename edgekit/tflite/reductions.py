"""A float graph that reports the smallest and largest value of each of its activations.

REDUCE_MIN and REDUCE_MAX are placed right behind the operator that makes a tensor and become the
outputs of the graph. The runtime then reuses its memory as in plain inference and computes the
extremes while they are in cache, with its own threads: calibration costs little more than running
the model. The alternative, keeping every tensor for Python to look at, costs three times that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.tflite import flatbuffer

MIN_PREFIX = "min/"
MAX_PREFIX = "max/"


@dataclass(frozen=True)
class InstrumentedGraph:
    """``data`` is the edited model; its outputs are named by prefix and position in ``tensors``."""

    data: bytes
    tensors: tuple[str, ...]

    def min_output(self, position: int) -> str:
        return f"{MIN_PREFIX}{position}"

    def max_output(self, position: int) -> str:
        return f"{MAX_PREFIX}{position}"


def with_extremes(data: bytes) -> InstrumentedGraph:
    """Add the reductions for every float32 activation, graph inputs included.

    Tensors keep their names; signatures are dropped, since the outputs are no longer the model's.
    The runtime's minimum and maximum may pass over a NaN that stands among numbers; a tensor of
    NaN alone gives NaN.
    """
    model = flatbuffer.unpack(data)
    schema = flatbuffer.schema()
    graph = model.subgraphs[0]
    builtin = schema.BuiltinOperator
    reduce_codes = {
        MIN_PREFIX: flatbuffer.add_operator_code(model, builtin.REDUCE_MIN),
        MAX_PREFIX: flatbuffer.add_operator_code(model, builtin.REDUCE_MAX),
    }
    constants = {i for i, t in enumerate(graph.tensors) if flatbuffer.is_constant(model, t)}
    names: list[str] = []
    outputs: list[int] = []
    axes: dict[int, int] = {}

    def reductions_of(index: int) -> list[Any]:
        tensor = graph.tensors[index]
        if tensor.type != schema.TensorType.FLOAT32 or index in constants:
            return []
        rank = 0 if tensor.shape is None else len(tensor.shape)
        if rank not in axes:
            axes[rank] = _axes_tensor(model, graph, rank)
        added = []
        for prefix, code in reduce_codes.items():
            output = flatbuffer.add_tensor(
                model, graph, f"{prefix}{len(names)}", (1,) * rank, schema.TensorType.FLOAT32
            )
            added.append(_reduction(code, index, axes[rank], output))
            outputs.append(output)
        names.append(flatbuffer.text(tensor.name))
        return added

    operators: list[Any] = []
    for index in graph.inputs:
        operators += reductions_of(int(index))
    for operator in graph.operators:
        operators.append(operator)
        for index in operator.outputs:
            operators += reductions_of(int(index))
    graph.operators = operators
    graph.outputs = outputs
    model.signatureDefs = None
    return InstrumentedGraph(data=flatbuffer.pack(model), tensors=tuple(names))


def _axes_tensor(model: Any, graph: Any, rank: int) -> int:
    import numpy as np

    axes = np.arange(rank, dtype=np.int32)
    int32 = flatbuffer.schema().TensorType.INT32
    return flatbuffer.add_tensor(model, graph, f"axes/{rank}", (rank,), int32, axes)


def _reduction(code: int, source: int, axes: int, output: int) -> Any:
    schema = flatbuffer.schema()
    options = schema.ReducerOptionsT()
    options.keepDims = True
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs = [source, axes]
    operator.outputs = [output]
    operator.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    operator.builtinOptions = options
    return operator
