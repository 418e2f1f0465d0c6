"""Tiny .tflite files for tests, written straight from the flatbuffer schema: no converter runs.

The network is always the same: 3x3 convolution with fused ReLU, then a fully connected layer,
input ``x`` [1, 4, 4, 3], output ``scores`` [1, 5]. ``reference`` is its text in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

INPUT_SHAPE = (1, 4, 4, 3)
CLASSES = 5
FILTERS = 2


@dataclass(frozen=True)
class Weights:
    """Float weights: filter [out, 3, 3, in], its bias, matrix [classes, features], its bias."""

    filter: Array
    filter_bias: Array
    matrix: Array
    matrix_bias: Array


def weights(seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    features = INPUT_SHAPE[1] * INPUT_SHAPE[2] * FILTERS
    return Weights(
        rng.normal(0, 0.4, (FILTERS, 3, 3, INPUT_SHAPE[3])).astype(np.float32),
        rng.normal(0, 0.1, FILTERS).astype(np.float32),
        rng.normal(0, 0.3, (CLASSES, features)).astype(np.float32),
        rng.normal(0, 0.1, CLASSES).astype(np.float32),
    )


def hidden(x: Array, w: Weights) -> Array:
    """The convolution and ReLU: [N, 4, 4, 3] to [N, 4, 4, FILTERS]."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    sums = np.einsum("nhwcij,oijc->nhwo", windows, w.filter) + w.filter_bias
    return np.asarray(np.maximum(sums, 0))


def reference(x: Array, w: Weights) -> Array:
    """The whole network: [N, 4, 4, 3] to [N, 5]."""
    return np.asarray(hidden(x, w).reshape(len(x), -1) @ w.matrix.T + w.matrix_bias)


@dataclass(frozen=True)
class Quant:
    """Scales and zero points of a tensor; ``axis`` matters where there are several."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass
class Graph:
    """One subgraph under construction; ``write`` makes a model of several."""

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    buffers: list[Array | None] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        data: Array | None = None,
        quant: Quant | None = None,
        shape_signature: Sequence[int] | None = None,
    ) -> int:
        """Add a tensor, constant when ``data`` is given; returns its index."""
        from ai_edge_litert import schema_py_generated as schema

        types = schema.TensorType
        codes = {
            "float32": types.FLOAT32,
            "int8": types.INT8,
            "uint8": types.UINT8,
            "int32": types.INT32,
            "int64": types.INT64,
            "bool": types.BOOL,
        }
        made = schema.TensorT()
        made.name, made.shape, made.type = name.encode(), list(shape), codes[dtype]
        made.shapeSignature = None if shape_signature is None else list(shape_signature)
        if quant is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = list(quant.scales)
            made.quantization.zeroPoint = list(quant.zero_points)
            made.quantization.quantizedDimension = quant.axis
        self.tensors.append(made)
        self.buffers.append(None if data is None else np.ascontiguousarray(data, dtype=dtype))
        return len(self.tensors) - 1

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """Add an operator by its schema name; ``options`` are fields of its options table."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.OperatorT()
        made.name = name  # read back by write()
        made.inputs, made.outputs = list(inputs), list(outputs)
        table = options.pop("table", None)
        if table is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)


def write(graphs: Sequence[Graph], signatures: Mapping[str, int] | None = None) -> bytes:
    """The bytes of a model; ``signatures`` maps a signature's name to its subgraph."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.description = 3, b"edgekit test model"
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [], []
    codes: dict[str, int] = {}
    for number, graph in enumerate(graphs):
        for tensor, data in zip(graph.tensors, graph.buffers, strict=True):
            tensor.buffer = 0
            if data is not None:
                buffer = schema.BufferT()
                buffer.data = np.frombuffer(data.tobytes(), np.uint8)
                model.buffers.append(buffer)
                tensor.buffer = len(model.buffers) - 1
        for operator in graph.operators:
            if operator.name not in codes:
                code = schema.OperatorCodeT()
                code.builtinCode = getattr(schema.BuiltinOperator, operator.name)
                code.deprecatedBuiltinCode = min(code.builtinCode, 127)
                code.version = 3 if graph.tensors[operator.inputs[0]].type == 9 else 1
                codes[operator.name] = len(model.operatorCodes)
                model.operatorCodes.append(code)
            operator.opcodeIndex = codes[operator.name]
        made = schema.SubGraphT()
        made.name = f"graph{number}".encode()
        made.tensors, made.operators = graph.tensors, graph.operators
        made.inputs, made.outputs = list(graph.inputs.values()), list(graph.outputs.values())
        model.subgraphs.append(made)
    model.signatureDefs = [
        _signature(name, number, graphs[number]) for name, number in (signatures or {}).items()
    ]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _signature(name: str, number: int, graph: Graph) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = name.encode(), number
    made.inputs, made.outputs = [], []
    for ends, maps in ((graph.inputs, made.inputs), (graph.outputs, made.outputs)):
        for end, index in ends.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = end.encode(), index
            maps.append(entry)
    return made


def _conv(graph: Graph, inputs: Sequence[int], output: int) -> None:
    graph.operator(
        "CONV_2D",
        inputs,
        [output],
        table="Conv2DOptions",
        padding=0,  # SAME
        strideW=1,
        strideH=1,
        dilationWFactor=1,
        dilationHFactor=1,
        fusedActivationFunction=1,  # RELU
    )


def float_graph(w: Weights, batch: int = 1, free_batch: bool = False) -> Graph:
    """The float network; ``free_batch`` leaves the batch axis -1 in the shape signature."""
    shape = (batch, *INPUT_SHAPE[1:])
    free = (-1, *INPUT_SHAPE[1:]) if free_batch else None
    graph = Graph()
    x = graph.tensor("serving_x", shape, shape_signature=free)
    kernel = graph.tensor("kernel", w.filter.shape, data=w.filter)
    bias = graph.tensor("kernel_bias", w.filter_bias.shape, data=w.filter_bias)
    h = graph.tensor("hidden", (*shape[:3], FILTERS))
    matrix = graph.tensor("matrix", w.matrix.shape, data=w.matrix)
    offset = graph.tensor("matrix_bias", w.matrix_bias.shape, data=w.matrix_bias)
    y = graph.tensor("serving_scores", (batch, CLASSES))
    _conv(graph, [x, kernel, bias], h)
    graph.operator("FULLY_CONNECTED", [h, matrix, offset], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    return graph


def int8_graph(w: Weights, seed: int = 1) -> Graph:
    """The same network in full-integer INT8, ranges from 200 random inputs in [-1, 1]."""
    x_float = np.random.default_rng(seed).uniform(-1, 1, (200, *INPUT_SHAPE[1:])).astype("f4")
    x_quant = Quant((2 / 255,), (0,))
    h_quant = _asymmetric(hidden(x_float, w))
    y_quant = _asymmetric(reference(x_float, w))
    k_scales = np.abs(w.filter).max(axis=(1, 2, 3)) / 127
    m_scale = float(np.abs(w.matrix).max() / 127)

    graph = Graph()
    x = graph.tensor("serving_x", INPUT_SHAPE, "int8", quant=x_quant)
    kernel = graph.tensor(
        "kernel",
        w.filter.shape,
        "int8",
        np.round(w.filter / k_scales[:, None, None, None]),
        Quant(tuple(map(float, k_scales)), (0,) * FILTERS),
    )
    b_scales = k_scales * x_quant.scales[0]
    bias = graph.tensor(
        "kernel_bias",
        w.filter_bias.shape,
        "int32",
        np.round(w.filter_bias / b_scales),
        Quant(tuple(map(float, b_scales)), (0,) * FILTERS),
    )
    h = graph.tensor("hidden", (1, 4, 4, FILTERS), "int8", quant=h_quant)
    matrix = graph.tensor(
        "matrix", w.matrix.shape, "int8", np.round(w.matrix / m_scale), Quant((m_scale,), (0,))
    )
    o_scale = m_scale * h_quant.scales[0]
    offset = graph.tensor(
        "matrix_bias",
        w.matrix_bias.shape,
        "int32",
        np.round(w.matrix_bias / o_scale),
        Quant((o_scale,), (0,)),
    )
    y = graph.tensor("serving_scores", (1, CLASSES), "int8", quant=y_quant)
    _conv(graph, [x, kernel, bias], h)
    graph.operator("FULLY_CONNECTED", [h, matrix, offset], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    return graph


def _asymmetric(values: Array) -> Quant:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = (high - low) / 255
    return Quant((scale,), (int(np.clip(round(-128 - low / scale), -128, 127)),))


def float_model(seed: int = 0) -> bytes:
    """Float network, one signature ``serving_default`` with ``x`` and ``scores``."""
    return write([float_graph(weights(seed))], {"serving_default": 0})


def int8_model(seed: int = 0) -> bytes:
    """Full-integer network, int8 input and output, same signature."""
    return write([int8_graph(weights(seed))], {"serving_default": 0})


def two_output_model(seed: int = 0) -> bytes:
    """Float network that also returns ``hidden``; the signature lists it first."""
    graph = float_graph(weights(seed))
    graph.outputs = {"hidden": 3, **graph.outputs}
    return write([graph], {"serving_default": 0})


def two_signature_model() -> bytes:
    """Two networks of different weights: signatures ``first`` (seed 0) and ``second`` (seed 1)."""
    return write([float_graph(weights(0)), float_graph(weights(1))], {"first": 0, "second": 1})


def unsigned_model(seed: int = 0) -> bytes:
    """Float network without any signature: only tensor names."""
    return write([float_graph(weights(seed))])


def corrupt_model(seed: int = 0) -> bytes:
    """The float model cut off in the middle."""
    whole = float_model(seed)
    return whole[: len(whole) // 2]


def free_batch_model(seed: int = 0) -> bytes:
    """The float network with its batch axis left open."""
    return write([float_graph(weights(seed), free_batch=True)], {"serving_default": 0})


def crashing_model(shape: tuple[int, ...] = (1, 4, 4, 4)) -> bytes:
    """Loads, and segfaults the interpreter when it runs: the kernel trusts a negative radius."""
    graph = Graph()
    x, y = graph.tensor("x", shape), graph.tensor("y", shape)
    graph.operator(
        "LOCAL_RESPONSE_NORMALIZATION",
        [x],
        [y],
        table="LocalResponseNormalizationOptions",
        radius=-5,
    )
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return write([graph], {"serving_default": 0})


def failing_model() -> bytes:
    """Loads, and fails when it runs: gathers an index its input does not have."""
    graph = Graph()
    x, y = graph.tensor("x", (1, 4)), graph.tensor("y", (1, 1))
    beyond = graph.tensor("beyond", (1,), "int32", np.array([99]))
    graph.operator("GATHER", [x, beyond], [y], table="GatherOptions", axis=1)
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return write([graph], {"serving_default": 0})


def refused_model() -> bytes:
    """A valid file the interpreter refuses to prepare: a pooling stride of zero."""
    graph = Graph()
    x, y = graph.tensor("x", (1, 4, 4, 4)), graph.tensor("y", (1, 4, 4, 4))
    graph.operator("MAX_POOL_2D", [x], [y], table="Pool2DOptions", strideW=0, strideH=0)
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return write([graph], {"serving_default": 0})
