"""A read-only view of a TFLite graph: tensors, operators, what each one computes with."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

from edgekit.errors import SourceError
from edgekit.tflite import flatbuffer

SAME_SCALE = frozenset({"PAD", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "MAX_POOL_2D"})
"""Operators that only move values: quantized, their output has the scale of their input."""

# Stands for an optional input that an operator does not have.
_ABSENT = -1
_SMALL_BYTES = 64
"""Constants up to this size have their values read: those that say how an operator works."""


@dataclass(frozen=True)
class Tensor:
    """One tensor. ``scales`` has one entry, or one a channel along ``axis``; empty when float.

    ``shape`` holds 1 for each of ``free_axes``, whose size is only known when the model runs.
    ``values`` are those of a small constant of integers, row by row: axes, shapes, paddings.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    size_bytes: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    free_axes: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Op:
    """One operator, by its schema name (``CONV_2D``), or a custom operator's own name.

    ``options`` are the numbers in its table of options, by their names in the schema.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    activation: str
    options: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Graph:
    """One subgraph of a model file; ``parse_graph`` gives the main one."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signature: str | None
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    name: str = ""
    inner: tuple[Graph, ...] = ()
    """Of the main subgraph: the others that its operators call, directly or through each other."""

    @cached_property
    def producer(self) -> dict[int, Op]:
        """The operator that writes each tensor."""
        return {tensor: op for op in self.ops for tensor in op.outputs}

    @cached_property
    def readers(self) -> dict[int, tuple[Op, ...]]:
        """The operators that read each tensor."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for tensor in op.inputs:
                found.setdefault(tensor, []).append(op)
        return {tensor: tuple(ops) for tensor, ops in found.items()}

    def activations(self, op: Op) -> tuple[Tensor, ...]:
        """The tensors ``op`` reads or writes that are not constants."""
        ends = [self.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        return tuple(tensor for tensor in ends if not tensor.constant)

    def layer(self, op: Op) -> str:
        """What a person calls this operator: the name of its first output."""
        return self.tensors[op.outputs[0]].name if op.outputs else f"operator {op.index}"


def read_graph(file: Path) -> Graph:
    """Parse a ``.tflite`` file.

    Raises:
        SourceError: missing, unreadable, not a TFLite file, or damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from error
    return parse_graph(data, str(file))


@lru_cache(maxsize=4)
def parse_graph(data: bytes, name: str = "model") -> Graph:
    """As ``read_graph``, from bytes. The last few are remembered: stages ask again and again."""
    model = flatbuffer.unpack(data, name)
    try:
        return _graph(model)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise SourceError(
            f"{name} is damaged: {error}", hint="Copy or convert the file again."
        ) from error


def _graph(model: Any) -> Graph:
    main = _subgraph(model, 0)
    reached = [0]
    for position in reached:  # grows while it is gone through
        reached += [i for i in _called(model.subgraphs[position]) if i not in reached]
    return replace(main, inner=tuple(_subgraph(model, position) for position in reached[1:]))


def _called(subgraph: Any) -> list[int]:
    """Subgraphs that the operators of ``subgraph`` call: both branches, condition and body."""
    called = [
        int(getattr(options, field))
        for op in subgraph.operators or ()
        for options, field in flatbuffer.subgraph_fields(op)
    ]
    return list(dict.fromkeys(index for index in called if index >= 0))


def _subgraph(model: Any, position: int) -> Graph:
    subgraph = model.subgraphs[position]
    types = flatbuffer.enum_names("TensorType")
    tensors = tuple(
        _tensor(index, tensor, model, types) for index, tensor in enumerate(subgraph.tensors)
    )
    ops = tuple(_op(i, op, model, tensors) for i, op in enumerate(subgraph.operators or ()))
    inputs, outputs = _ints(subgraph.inputs), _ints(subgraph.outputs)
    _check_indices((*inputs, *outputs), tensors)
    signature = model.signatureDefs[0] if model.signatureDefs and position == 0 else None
    named: dict[int, str] = {i: tensors[i].name for i in (*inputs, *outputs)}
    input_names = tuple(named[i] for i in inputs)
    output_names = tuple(named[i] for i in outputs)
    if signature is not None:
        by_input = {e.tensorIndex: flatbuffer.text(e.name) for e in signature.inputs or ()}
        by_output = {e.tensorIndex: flatbuffer.text(e.name) for e in signature.outputs or ()}
        input_names = tuple(by_input.get(i, named[i]) for i in inputs)
        output_names = tuple(by_output.get(i, named[i]) for i in outputs)
    return Graph(
        tensors=tensors,
        ops=ops,
        inputs=inputs,
        outputs=outputs,
        signature=flatbuffer.text(signature.signatureKey) if signature is not None else None,
        input_names=input_names,
        output_names=output_names,
        name=flatbuffer.text(subgraph.name),
    )


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _check_indices(indices: tuple[int, ...], tensors: tuple[Tensor, ...]) -> None:
    """Python would take a negative index from the end."""
    for index in indices:
        if not 0 <= index < len(tensors):
            raise IndexError(f"tensor {index} of {len(tensors)}")


def _tensor(index: int, tensor: Any, model: Any, types: dict[int, str]) -> Tensor:
    data = model.buffers[tensor.buffer].data
    quantization = tensor.quantization
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis = 0
    dtype = types[tensor.type].lower()
    constant = flatbuffer.is_constant(model, tensor)
    if quantization is not None and quantization.scale is not None:
        scales = tuple(float(scale) for scale in quantization.scale)
        zero_points = _ints(quantization.zeroPoint)
        axis = int(quantization.quantizedDimension)
    return Tensor(
        index=index,
        name=flatbuffer.text(tensor.name),
        shape=_ints(tensor.shape),
        dtype=dtype,
        constant=constant,
        size_bytes=0 if data is None else len(data),
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        free_axes=tuple(a for a, n in enumerate(_ints(tensor.shapeSignature)) if n < 0),
        values=_values(dtype, bytes(data)) if constant and len(data) <= _SMALL_BYTES else (),
    )


def _values(dtype: str, data: bytes) -> tuple[int, ...]:
    """Of a constant of int32 or int64; of any other there are none."""
    letter, width = {"int32": ("i", 4), "int64": ("q", 8)}.get(dtype, ("", 1))
    return struct.unpack(f"<{len(data) // width}{letter}", data) if letter else ()


def _op(index: int, op: Any, model: Any, tensors: tuple[Tensor, ...]) -> Op:
    code = model.operatorCodes[op.opcodeIndex]
    name = flatbuffer.enum_names("BuiltinOperator")[flatbuffer.builtin_of(code)]
    if name == "CUSTOM":
        name = flatbuffer.text(code.customCode)
    fused = getattr(op.builtinOptions, "fusedActivationFunction", 0)
    inputs, outputs = _ints(op.inputs), _ints(op.outputs)
    _check_indices((*(i for i in inputs if i != _ABSENT), *outputs), tensors)
    adjoint = bool(getattr(op.builtinOptions, "adjX", False))
    return Op(
        index=index,
        name=name,
        version=int(code.version),
        inputs=inputs,
        outputs=outputs,
        macs=_macs(
            name,
            [tensors[i] for i in inputs if i != _ABSENT],
            [tensors[i] for i in outputs],
            adjoint,
        ),
        activation=flatbuffer.enum_names("ActivationFunctionType")[fused],
        options={
            name: value
            for name, value in (vars(op.builtinOptions) if op.builtinOptions else {}).items()
            if isinstance(value, int | float)
        },
    )


def _macs(name: str, inputs: list[Tensor], outputs: list[Tensor], adjoint: bool) -> int:
    """Multiply-accumulates of one invocation, free axes taken as 1; 0 for operators not listed.

    ``adjoint``: a matrix product takes its first operand transposed.
    """
    if not outputs or len(inputs) < 2:
        return 0
    out, weights = prod(outputs[0].shape), inputs[1].shape
    if name == "CONV_2D":  # weights: [out, h, w, in]
        return out * prod(weights[1:])
    if name == "DEPTHWISE_CONV_2D":  # weights: [1, h, w, out]
        return out * prod(weights[1:3])
    if name == "FULLY_CONNECTED":  # weights: [out, in]
        return out * weights[-1]
    if name == "TRANSPOSE_CONV" and len(inputs) > 2:  # inputs: shape, weights, activations
        return prod(inputs[2].shape) * prod(weights[:3])
    if name == "BATCH_MATMUL":
        return out * inputs[0].shape[-2 if adjoint else -1]
    return 0
