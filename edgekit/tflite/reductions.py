"""A float graph that reports the smallest and largest value of each of its activations.

REDUCE_MIN and REDUCE_MAX are placed right behind the operator that makes a tensor and become the
outputs of the graph. The runtime then reuses its memory as in plain inference and computes the
extremes while they are in cache: calibration costs a third more than running the model. The
alternative, keeping every tensor for NumPy to look at, costs about twice the running.

Where extremes are asked for by channel, the reduction leaves the last axis standing. Where an
estimator needs values too, a subset of each activation, taken by a strided slice of the
flat tensor, is one more output.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any

from edgekit.tflite import flatbuffer
from edgekit.tflite.subsets import Subsets

MIN_PREFIX = "min/"
MAX_PREFIX = "max/"
VALUES_PREFIX = "values/"
ROWS_FROM = 1 << 18
"""Tensors of that many elements are reduced to one value a row: XNNPACK shares a reduction among
its threads by what it leaves standing, and one value is left to one thread. For smaller tensors
the handing out takes longer than it saves."""


@dataclass(frozen=True)
class InstrumentedGraph:
    """``data`` is the edited model; its outputs are named by prefix and position in ``tensors``.

    An output holds one value, one a row, or for tensors in ``by_channel`` one a channel; the
    extreme of the tensor is the extreme of its output. With ``values`` there is a third, a flat
    subset of the tensor.
    """

    data: bytes
    tensors: tuple[str, ...]
    values: bool = False
    by_channel: frozenset[str] = frozenset()

    def min_output(self, position: int) -> str:
        return f"{MIN_PREFIX}{position}"

    def max_output(self, position: int) -> str:
        return f"{MAX_PREFIX}{position}"

    def values_output(self, position: int) -> str:
        return f"{VALUES_PREFIX}{position}"


def with_extremes(
    data: bytes, *, values: bool = False, by_channel: Collection[str] = ()
) -> InstrumentedGraph:
    """Add the reductions for every float32 activation, graph inputs included; with ``values`` the
    subsets too. Tensors named in ``by_channel`` are reduced to one value a channel.

    Tensors keep their names, and the inputs those of the first signature, where there is one. The
    runtime's minimum and maximum may pass over a NaN that stands among numbers; a tensor of
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
    axes: dict[tuple[int, ...], int] = {}
    subsets = Subsets(model, graph) if values else None

    def reductions_of(index: int) -> list[Any]:
        tensor = graph.tensors[index]
        if tensor.type != schema.TensorType.FLOAT32 or index in constants:
            return []
        shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
        name = flatbuffer.text(tensor.name)
        reduced = _all_but_last(shape) if name in by_channel else _reduced_axes(shape)
        if reduced not in axes:
            axes[reduced] = _axes_tensor(model, graph, reduced)
        left = tuple(1 if axis in reduced else size for axis, size in enumerate(shape))
        added = []
        for prefix, code in reduce_codes.items():
            output = flatbuffer.add_tensor(
                model, graph, f"{prefix}{len(names)}", left, schema.TensorType.FLOAT32
            )
            added.append(_reduction(code, index, axes[reduced], output))
            outputs.append(output)
        if subsets is not None:
            added += subsets.of(index, shape, f"{VALUES_PREFIX}{len(names)}")
            outputs.append(added[-1].outputs[0])
        names.append(name)
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
    if model.signatureDefs:
        signature = model.signatureDefs[0]
        signature.outputs = [_signature_entry(graph, index) for index in outputs]
        model.signatureDefs = [signature]
    return InstrumentedGraph(
        data=flatbuffer.pack(model),
        tensors=tuple(names),
        values=values,
        by_channel=frozenset(names).intersection(by_channel),
    )


def _signature_entry(graph: Any, index: int) -> Any:
    entry = flatbuffer.schema().TensorMapT()
    entry.name, entry.tensorIndex = graph.tensors[index].name, index
    return entry


def _reduced_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """All axes, or all but the rows."""
    by_row = len(shape) > 2 and prod(shape) >= ROWS_FROM
    return tuple(axis for axis in range(len(shape)) if not (by_row and axis == 1))


def _all_but_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(len(shape) - 1))


def _axes_tensor(model: Any, graph: Any, axes: tuple[int, ...]) -> int:
    import numpy as np

    name = f"axes/{','.join(map(str, axes))}"
    int32 = flatbuffer.schema().TensorType.INT32
    values = np.array(axes, dtype=np.int32)
    return flatbuffer.add_tensor(model, graph, name, (len(axes),), int32, values)


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
