"""Small float graphs beyond the one network of ``tests.tflite_models``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from edgekit.tflite.flatbuffer import text, unpack
from tests import tflite_models as models

Array = npt.NDArray[Any]
SHAPE = (1, 6, 6, 3)


def conv_options(**other: Any) -> dict[str, Any]:
    """SAME padding, stride 1, no activation, unless said otherwise."""
    plain = {
        "padding": 0,
        "strideW": 1,
        "strideH": 1,
        "dilationWFactor": 1,
        "dilationHFactor": 1,
        "fusedActivationFunction": 0,
    }
    return {"table": "Conv2DOptions", **plain, **other}


def activated(
    kind: str, alpha: Any = None, free_batch: bool = False, seed: int = 0, **options: Any
) -> bytes:
    """Convolution, the activation ``kind``, fully connected; outputs ``act`` and ``scores``.

    ``alpha`` is LEAKY_RELU's option, or PRELU's constant slope.
    """
    w = models.weights(seed)
    graph = models.Graph()
    free = (-1, *models.INPUT_SHAPE[1:]) if free_batch else None
    hidden = (1, 4, 4, models.FILTERS)
    open_hidden = (-1, *hidden[1:]) if free_batch else None
    x = graph.tensor("x", models.INPUT_SHAPE, shape_signature=free)
    kernel = graph.tensor("kernel", w.filter.shape, data=w.filter)
    bias = graph.tensor("bias", w.filter_bias.shape, data=w.filter_bias)
    conv = graph.tensor("conv", hidden, shape_signature=open_hidden)
    act = graph.tensor("act", hidden, shape_signature=open_hidden)
    graph.operator("CONV_2D", [x, kernel, bias], [conv], **conv_options())
    if kind == "PRELU":
        slope = graph.tensor("slopes", np.shape(alpha), data=np.asarray(alpha, np.float32))
        graph.operator("PRELU", [conv, slope], [act])
    elif kind == "LEAKY_RELU":
        graph.operator(kind, [conv], [act], table="LeakyReluOptions", alpha=alpha)
    else:
        graph.operator(kind, [conv], [act], **options)
    matrix = graph.tensor("matrix", w.matrix.shape, data=w.matrix)
    offset = graph.tensor("offset", w.matrix_bias.shape, data=w.matrix_bias)
    scores = graph.tensor(
        "scores", (1, models.CLASSES), shape_signature=(-1, models.CLASSES) if free_batch else None
    )
    graph.operator(
        "FULLY_CONNECTED", [act, matrix, offset], [scores], table="FullyConnectedOptions"
    )
    graph.inputs, graph.outputs = {"x": x}, {"act": act, "scores": scores}
    return models.write([graph], {"serving_default": 0})


def varied(seed: int = 0) -> bytes:
    """Ranks 0, 1, 2 and 4, a PAD, a RESHAPE, an integer tensor, and three outputs of six."""
    rng = np.random.default_rng(seed)
    graph = models.Graph()
    x = graph.tensor("x", SHAPE)
    pads = graph.tensor("pads", (4, 2), "int32", np.array([[0, 0], [1, 1], [1, 1], [0, 0]]))
    padded = graph.tensor("padded", (1, 8, 8, 3))
    kernel = graph.tensor("kernel", (4, 3, 3, 3), data=rng.normal(size=(4, 3, 3, 3)))
    bias = graph.tensor("bias", (4,), data=rng.normal(size=4))
    conv = graph.tensor("conv", (1, 6, 6, 4))
    flat = graph.tensor("flat", (1, 144))
    shape = graph.tensor("shape", (2,), "int32", np.array([1, 144]))
    matrix = graph.tensor("matrix", (5, 144), data=rng.normal(size=(5, 144)))
    scores = graph.tensor("scores", (1, 5))
    last = graph.tensor("last", (1,), "int32", np.array([1]))
    best = graph.tensor("best", (1,), "int64")
    both = graph.tensor("both", (2,), "int32", np.array([0, 1]))
    total = graph.tensor("total", ())
    maxima = graph.tensor("maxima", (1,))
    shifted = graph.tensor("shifted", (1, 5))
    graph.operator("PAD", [x, pads], [padded], table="PadOptions")
    graph.operator(
        "CONV_2D",
        [padded, kernel, bias],
        [conv],
        **conv_options(padding=1, fusedActivationFunction=3),
    )
    graph.operator("RESHAPE", [conv, shape], [flat], table="ReshapeOptions", newShape=[1, 144])
    graph.operator("FULLY_CONNECTED", [flat, matrix], [scores], table="FullyConnectedOptions")
    graph.operator("ARG_MAX", [scores, last], [best], table="ArgMaxOptions", outputType=4)
    graph.operator("SUM", [scores, both], [total], table="ReducerOptions", keepDims=False)
    graph.operator("REDUCE_MAX", [scores, last], [maxima], table="ReducerOptions", keepDims=False)
    graph.operator("SUB", [scores, total], [shifted], table="SubOptions")
    graph.inputs = {"x": x}
    graph.outputs = {"conv": conv, "best": best, "shifted": shifted}
    return models.write([graph], {"serving_default": 0})


CHAIN = ("first", "second", "third", "sum", "flat", "scores")
"""What the operators of ``chain`` write, in their order."""


def chain(seed: int = 0) -> bytes:
    """Three convolutions, a sum of the first and the third, RESHAPE, fully connected."""
    rng = np.random.default_rng(seed)
    graph = models.Graph()
    x = graph.tensor("x", SHAPE)

    def conv(source: int, name: str, channels: int, activation: int) -> int:
        kernel = rng.normal(0, 0.3, (8, 3, 3, channels))
        weights = graph.tensor(f"{name}_kernel", kernel.shape, data=kernel)
        bias = graph.tensor(f"{name}_bias", (8,), data=rng.normal(0, 0.1, 8))
        out = graph.tensor(name, (1, 6, 6, 8))
        options = conv_options(fusedActivationFunction=activation)
        graph.operator("CONV_2D", [source, weights, bias], [out], **options)
        return out

    first = conv(x, "first", 3, 1)
    third = conv(conv(first, "second", 8, 1), "third", 8, 0)
    total, flat = graph.tensor("sum", (1, 6, 6, 8)), graph.tensor("flat", (1, 288))
    graph.operator("ADD", [first, third], [total], table="AddOptions")
    shape = graph.tensor("shape", (2,), "int32", np.array([1, 288]))
    graph.operator("RESHAPE", [total, shape], [flat], table="ReshapeOptions", newShape=[1, 288])
    matrix = graph.tensor("matrix", (5, 288), data=rng.normal(0, 0.1, (5, 288)))
    scores = graph.tensor("scores", (1, 5))
    graph.operator("FULLY_CONNECTED", [flat, matrix], [scores], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": scores}
    return models.write([graph], {"serving_default": 0})


def separable(factor: Array | None = None, seed: int = 0) -> bytes:
    """Convolution with RELU, PAD, depthwise, RESHAPE, fully connected: ``inner`` and ``padded``
    hold eight channels, each times its ``factor``, which the depthwise takes out."""
    rng = np.random.default_rng(seed)
    scaled = np.ones(8) if factor is None else factor
    graph = models.Graph()
    x = graph.tensor("x", SHAPE)
    kernel = rng.normal(0, 0.3, (8, 3, 3, 3)) * scaled[:, None, None, None]
    weights = graph.tensor("kernel", kernel.shape, data=kernel)
    bias = graph.tensor("bias", (8,), data=rng.normal(0, 0.1, 8) * scaled)
    inner, padded = graph.tensor("inner", (1, 6, 6, 8)), graph.tensor("padded", (1, 8, 8, 8))
    graph.operator(
        "CONV_2D", [x, weights, bias], [inner], **conv_options(fusedActivationFunction=1)
    )
    pads = graph.tensor("pads", (4, 2), "int32", np.array([[0, 0], [1, 1], [1, 1], [0, 0]]))
    graph.operator("PAD", [inner, pads], [padded], table="PadOptions")
    each = graph.tensor("each", (1, 3, 3, 8), data=rng.normal(0, 0.3, (1, 3, 3, 8)) / scaled)
    each_bias = graph.tensor("each_bias", (8,), data=rng.normal(0, 0.1, 8))
    spread, flat = graph.tensor("spread", (1, 6, 6, 8)), graph.tensor("flat", (1, 288))
    options = conv_options(padding=1, depthMultiplier=1) | {"table": "DepthwiseConv2DOptions"}
    graph.operator("DEPTHWISE_CONV_2D", [padded, each, each_bias], [spread], **options)
    shape = graph.tensor("shape", (2,), "int32", np.array([1, 288]))
    graph.operator("RESHAPE", [spread, shape], [flat], table="ReshapeOptions", newShape=[1, 288])
    matrix = graph.tensor("matrix", (5, 288), data=rng.normal(0, 0.1, (5, 288)))
    scores = graph.tensor("scores", (1, 5))
    graph.operator("FULLY_CONNECTED", [flat, matrix], [scores], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": scores}
    return models.write([graph], {"serving_default": 0})


def with_coarse_weights(data: bytes, name: str, levels: int) -> bytes:
    """``data`` with the constant ``name`` rounded to so many levels to each side of zero."""
    model = unpack(data)
    (tensor,) = (each for each in model.subgraphs[0].tensors if text(each.name) == name)
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
    step = np.abs(values).max() / levels
    rounded = (np.round(values / step) * step).astype(np.float32)
    model.buffers[tensor.buffer].data = np.frombuffer(rounded.tobytes(), np.uint8)
    return _as_generated(model)


def single(
    kind: str,
    operands: Sequence[tuple[int, ...] | Array | None],
    *,
    signatures: Sequence[tuple[int, ...] | None] = (),
    shape: tuple[int, ...] = (1,),
    **options: Any,
) -> bytes:
    """One operator, whose output is ``y``. Of its operands shapes become the inputs ``x0``, ``x1``,
    arrays become constants ``c0``, ``c1``, and ``None`` stands for one that is absent.

    ``signatures`` are shape signatures of the inputs, ``shape`` that of the output for an operator
    that will not tell; ``options`` as ``Graph.operator`` takes them.
    """
    from edgekit.runtimes.litert import LiteRTSession

    def written(shape: Sequence[int], free: tuple[int, ...] | None) -> bytes:
        graph = models.Graph()
        indices = []
        for operand in operands:
            if operand is None:
                indices.append(-1)
            elif isinstance(operand, tuple):
                number = len(graph.inputs)
                index = graph.tensor(
                    f"x{number}",
                    operand,
                    shape_signature=signatures[number] if signatures else None,
                )
                graph.inputs[f"x{number}"] = index
                indices.append(index)
            else:
                number = len(graph.tensors) - len(graph.inputs)
                dtype = "float32" if operand.dtype.kind == "f" else "int32"
                indices.append(graph.tensor(f"c{number}", operand.shape, dtype, operand))
        y = graph.tensor("y", shape, shape_signature=free)
        graph.operator(kind, indices, [y], **options)
        graph.outputs = {"y": y}
        return models.write([graph], {"serving_default": 0})

    free = None
    with LiteRTSession(written(shape, None)) as session:  # which tells it
        shape = session.info.outputs[0].shape
    if signatures:
        free = (-1, *shape[1:])
    return written(shape, free)


def shared() -> bytes:
    """Two convolutions of the same weights and bias, one behind the other, and a third of its
    own."""
    random = np.random.default_rng(0)
    made = models.Graph()
    shape = (1, 4, 4, 3)
    x, one, two, y = (made.tensor(name, shape) for name in ("x", "one", "two", "y"))
    kernel = made.tensor("kernel", (3, 3, 3, 3), data=random.normal(size=(3, 3, 3, 3)) * 0.3)
    bias = made.tensor("bias", (3,), data=random.normal(size=3))
    own = made.tensor("own", (3, 1, 1, 3), data=random.normal(size=(3, 1, 1, 3)))
    made.operator("CONV_2D", [x, kernel, bias], [one], **conv_options())
    made.operator("CONV_2D", [one, kernel, bias], [two], **conv_options())
    made.operator("CONV_2D", [two, own, bias], [y], **conv_options())
    made.inputs, made.outputs = {"x": x}, {"y": y}
    return models.write([made], {"serving_default": 0})


def with_constants_behind(data: bytes) -> bytes:
    """``data`` as ai-edge-quantizer lays it out: constants behind the flatbuffer, by offset."""
    model = unpack(data)
    contents = [None if b.data is None else bytes(b.data) for b in model.buffers]
    for buffer, content in zip(model.buffers, contents, strict=True):
        if content:
            buffer.data, buffer.offset, buffer.size = None, 1, 1  # held open; same length later
    start = -(-len(_as_generated(model)) // 16) * 16
    tail = b""
    for buffer, content in zip(model.buffers, contents, strict=True):
        if content:
            tail += bytes(-len(tail) % 16)
            buffer.offset, buffer.size = start + len(tail), len(content)
            tail += content
    head = _as_generated(model)
    return head + bytes(start - len(head)) + tail


def _as_generated(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
