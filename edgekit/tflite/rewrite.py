"""Exact rewrites of operators the quantizer would leave in float.

    LEAKY_RELU(x; a)  ->  MAXIMUM(x, a * x)                       for 0 <= a <= 1
                      ->  RELU(x) + (-a) * RELU(-1 * x)           otherwise
    PRELU(x; a)       ->  RELU(x) + (-a) * RELU(-1 * x)
    RELU6(x)          ->  MUL(x, 1) with RELU6 fused into it; RELU_N1_TO_1 likewise

Both sides round identically in float32: multiplying by -1 and by zero is exact, and one of the
two summands is always zero. Only the sign of a zero may differ, and a number so small that the
runtime takes it for zero.

One more is for layers of int16, a type that HARD_SWISH does not have; it is exact but for rounding:

    HARD_SWISH(x)  ->  MUL(x, MUL(ADD(x, 3) with RELU6 fused into it, 1 / 6))

And one is for tf2onnx, which loses the bias of a FULLY_CONNECTED that flattens its input:

    FULLY_CONNECTED(x, w, b)  ->  FULLY_CONNECTED(RESHAPE(x), w, b)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer


def rewrite_for_int8(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Replace what can be replaced; returns the bytes and a line per rewritten operator.

    The bytes are returned unchanged when there is nothing to do.
    """
    return _rewritten(data, _rewrites(), lambda layer: True)


def with_hard_swish_in_parts(
    data: bytes, layers: Collection[str]
) -> tuple[bytes, dict[str, tuple[float, float]]]:
    """The float graph in ``data`` with the operators that compute ``layers`` made of others, where
    they are HARD_SWISH; and what is new in it: tensors, called after the layer, with the smallest
    and the largest value that each can have."""
    parts: dict[str, tuple[float, float]] = {}
    if not layers:
        return data, parts

    def take_apart(edit: _Editor, operator: Any) -> list[Any]:
        made = _hard_swish(edit, operator)
        for part, ends in zip(made, ((0.0, 6.0), (0.0, 1.0)), strict=False):
            parts[flatbuffer.text(edit.graph.tensors[part.outputs[0]].name)] = ends
        return made

    swish = flatbuffer.schema().BuiltinOperator.HARD_SWISH
    return _rewritten(data, {swish: take_apart}, lambda layer: layer in layers)[0], parts


def with_inputs_flattened(data: bytes) -> bytes:
    """The float graph in ``data``; what a FULLY_CONNECTED reads has two axes, where the operator
    would make them by itself."""
    connected = flatbuffer.schema().BuiltinOperator.FULLY_CONNECTED
    return _rewritten(data, {connected: _flattened}, lambda layer: True)[0]


_Rewrite = Callable[["_Editor", Any], "list[Any] | None"]


def _rewritten(
    data: bytes, rewrites: Mapping[int, _Rewrite], wanted: Callable[[str], bool]
) -> tuple[bytes, tuple[str, ...]]:
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    float32 = flatbuffer.schema().TensorType.FLOAT32
    operators: list[Any] = []
    done: list[str] = []
    for operator in graph.operators:
        builtin = flatbuffer.builtin_of(model.operatorCodes[operator.opcodeIndex])
        output = graph.tensors[operator.outputs[0]] if len(operator.outputs) else None
        rewrite = rewrites.get(builtin)
        if (
            rewrite is None
            or output is None
            or output.type != float32
            or not wanted(flatbuffer.text(output.name))
        ):
            operators.append(operator)
            continue
        replacement = rewrite(_Editor(model, graph), operator)
        if replacement is None:
            operators.append(operator)
            continue
        operators += replacement
        name = flatbuffer.enum_names("BuiltinOperator")[builtin]
        done.append(f"{name} at {flatbuffer.text(output.name)}")
    if not done:
        return data, ()
    graph.operators = operators
    return flatbuffer.pack(model), tuple(done)


def _rewrites() -> dict[int, _Rewrite]:
    builtin = flatbuffer.schema().BuiltinOperator
    activation = flatbuffer.schema().ActivationFunctionType
    return {
        builtin.LEAKY_RELU: _leaky_relu,
        builtin.PRELU: _prelu,
        builtin.RELU6: partial(_clamp, activation=activation.RELU6),
        builtin.RELU_N1_TO_1: partial(_clamp, activation=activation.RELU_N1_TO_1),
    }


class _Editor:
    """Makes operators and tensors inside one graph."""

    def __init__(self, model: Any, graph: Any) -> None:
        self.model = model
        self.graph = graph
        self.schema = flatbuffer.schema()

    def like(self, index: int, suffix: str) -> int:
        """A new tensor of the shape and type of tensor ``index``, open axes included."""
        tensor = self.graph.tensors[index]
        shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        name = f"{flatbuffer.text(tensor.name)}/{suffix}"
        added = flatbuffer.add_tensor(self.model, self.graph, name, shape, tensor.type)
        self.graph.tensors[added].shapeSignature = tensor.shapeSignature
        return added

    def constant(self, index: int, suffix: str, value: Any) -> int:
        name = f"{flatbuffer.text(self.graph.tensors[index].name)}/{suffix}"
        array = np.asarray(value, dtype=np.float32)
        float32 = self.schema.TensorType.FLOAT32
        return flatbuffer.add_tensor(self.model, self.graph, name, array.shape, float32, array)

    def value(self, index: int) -> Any | None:
        """The array of a float32 constant, or ``None`` for any other tensor."""
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0 or tensor.type != self.schema.TensorType.FLOAT32:
            return None
        shape = () if tensor.shape is None else tensor.shape
        return np.frombuffer(bytes(data), dtype=np.float32).reshape(shape)

    def op(self, builtin: int, inputs: list[int], output: int, options: str | None) -> Any:
        operator = self.schema.OperatorT()
        operator.opcodeIndex = flatbuffer.add_operator_code(self.model, builtin)
        operator.inputs = inputs
        operator.outputs = [output]
        if options is not None:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
        return operator


def _leaky_relu(edit: _Editor, operator: Any) -> list[Any] | None:
    builtin = edit.schema.BuiltinOperator
    source, output = int(operator.inputs[0]), int(operator.outputs[0])
    alpha = np.float32(operator.builtinOptions.alpha)
    if not 0.0 <= alpha <= 1.0:
        return _two_sided(edit, source, output, np.array([alpha]))
    scaled = edit.like(output, "scaled")
    slope = edit.constant(output, "slope", [alpha])
    return [
        edit.op(builtin.MUL, [source, slope], scaled, "MulOptions"),
        edit.op(builtin.MAXIMUM, [source, scaled], output, "MaximumMinimumOptions"),
    ]


def _prelu(edit: _Editor, operator: Any) -> list[Any] | None:
    source, slope = (int(index) for index in operator.inputs)
    alpha = edit.value(slope)
    if alpha is None:  # a slope computed at run time
        return None
    return _two_sided(edit, source, int(operator.outputs[0]), alpha)


def _clamp(edit: _Editor, operator: Any, activation: int) -> list[Any]:
    """For one that stands alone: behind a convolution or a sum it is fused already."""
    source, output = int(operator.inputs[0]), int(operator.outputs[0])
    one = edit.constant(output, "one", [1.0])
    product = edit.op(edit.schema.BuiltinOperator.MUL, [source, one], output, "MulOptions")
    product.builtinOptions.fusedActivationFunction = activation
    return [product]


def _hard_swish(edit: _Editor, operator: Any) -> list[Any]:
    builtin = edit.schema.BuiltinOperator
    source, output = int(operator.inputs[0]), int(operator.outputs[0])
    shifted, gate = edit.like(output, "shifted"), edit.like(output, "gate")
    three, sixth = edit.constant(output, "three", [3.0]), edit.constant(output, "sixth", [1 / 6])
    add = edit.op(builtin.ADD, [source, three], shifted, "AddOptions")
    add.builtinOptions.fusedActivationFunction = edit.schema.ActivationFunctionType.RELU6
    return [
        add,
        edit.op(builtin.MUL, [shifted, sixth], gate, "MulOptions"),
        edit.op(builtin.MUL, [source, gate], output, "MulOptions"),
    ]


def _flattened(edit: _Editor, operator: Any) -> list[Any] | None:
    source, weights = (edit.graph.tensors[int(index)] for index in operator.inputs[:2])
    options = operator.builtinOptions
    if len(source.shape) == 2 or (options is not None and options.keepNumDims):
        return None
    width = int(weights.shape[1])
    name, types = flatbuffer.text(source.name), edit.schema.TensorType
    rows = (int(np.prod(source.shape)) // width, width)
    flat = flatbuffer.add_tensor(edit.model, edit.graph, f"{name}/flat", rows, source.type)
    sizes = np.array([-1, width], np.int32)
    shape = flatbuffer.add_tensor(
        edit.model, edit.graph, f"{name}/rows", sizes.shape, types.INT32, sizes
    )
    reshape = edit.op(
        edit.schema.BuiltinOperator.RESHAPE, [int(operator.inputs[0]), shape], flat, None
    )
    operator.inputs = [flat, *map(int, operator.inputs[1:])]
    return [reshape, operator]


def _two_sided(edit: _Editor, source: int, output: int, alpha: Any) -> list[Any]:
    builtin = edit.schema.BuiltinOperator
    positive, mirrored = edit.like(output, "positive"), edit.like(output, "mirrored")
    negative, scaled = edit.like(output, "negative"), edit.like(output, "scaled")
    minus_one = edit.constant(output, "minus_one", [-1.0])
    slope = edit.constant(output, "slope", -alpha)
    return [
        edit.op(builtin.RELU, [source], positive, None),
        edit.op(builtin.MUL, [source, minus_one], mirrored, "MulOptions"),
        edit.op(builtin.RELU, [mirrored], negative, None),
        edit.op(builtin.MUL, [negative, slope], scaled, "MulOptions"),
        edit.op(builtin.ADD, [positive, scaled], output, "AddOptions"),
    ]
