"""Operators that take every so many values of an activation, in the graph itself.

A RESHAPE to a flat tensor, which the runtime does in place, and a STRIDED_SLICE: what leaves the
graph is small, and NumPy never sees the rest.
"""

from __future__ import annotations

from math import prod
from typing import Any

from edgekit.calibrate.subset import stride
from edgekit.tflite import flatbuffer

_TO_THE_END = 1
"""``end_mask`` with the bit of the first axis, and only, axis set."""


class Subsets:
    """Adds them to one graph; equal constants are added once."""

    def __init__(self, model: Any, graph: Any) -> None:
        builtin = flatbuffer.schema().BuiltinOperator
        self._model, self._graph = model, graph
        self._reshape = flatbuffer.add_operator_code(model, builtin.RESHAPE)
        self._slice = flatbuffer.add_operator_code(model, builtin.STRIDED_SLICE)
        self._constants: dict[int, int] = {}

    def of(self, source: int, shape: tuple[int, ...], name: str) -> list[Any]:
        """The operators, of which the last makes the tensor called ``name``: the values of the
        tensor at index ``source``, float32 of shape ``(values,)``."""
        schema = flatbuffer.schema()
        size = prod(shape)
        step = stride(size)
        flat = self._tensor(f"flat/{name}", size)
        reshape = schema.OperatorT()
        reshape.opcodeIndex = self._reshape
        reshape.inputs, reshape.outputs = [source, self._constant(-1)], [flat]
        reshape.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        reshape.builtinOptions = schema.ReshapeOptionsT()
        reshape.builtinOptions.newShape = [-1]
        chosen = schema.OperatorT()
        chosen.opcodeIndex = self._slice
        # The end is masked, so that a batch that is free stays free.
        chosen.inputs = [flat, *map(self._constant, (0, 0, step))]
        chosen.outputs = [self._tensor(name, -(-size // step))]
        chosen.builtinOptionsType = schema.BuiltinOptions.StridedSliceOptions
        chosen.builtinOptions = schema.StridedSliceOptionsT()
        chosen.builtinOptions.endMask = _TO_THE_END
        return [reshape, chosen]

    def _tensor(self, name: str, size: int) -> int:
        float32 = flatbuffer.schema().TensorType.FLOAT32
        return flatbuffer.add_tensor(self._model, self._graph, name, (size,), float32)

    def _constant(self, value: int) -> int:
        """A tensor that holds ``value`` alone, int32 of shape ``(1,)``."""
        import numpy as np

        if value not in self._constants:
            int32 = flatbuffer.schema().TensorType.INT32
            self._constants[value] = flatbuffer.add_tensor(
                self._model,
                self._graph,
                f"subset/{value}",
                (1,),
                int32,
                np.array([value], np.int32),
            )
        return self._constants[value]
