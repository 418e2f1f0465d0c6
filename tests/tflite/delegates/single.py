"""One operator a model, of float32 or of int8 activations: what a delegate decides on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.tflite import flatbuffer
from edgekit.tflite.delegates.operator import Operator
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.tflite.graphs import conv_options

Array = npt.NDArray[Any]
IMAGE = (1, 4, 4, 8)
QUANT = models.Quant((0.05,), (0,))
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
POOL = {
    "table": "Pool2DOptions",
    "padding": 1,
    "filterHeight": 2,
    "filterWidth": 2,
    "strideH": 2,
    "strideW": 2,
}
DEPTHWISE = {**conv_options(depthMultiplier=1), "table": "DepthwiseConv2DOptions"}
TRANSPOSED = {"table": "TransposeConvOptions", "padding": 0, "strideH": 2, "strideW": 2}


def ints(*values: int) -> Array:
    return np.array(values, np.int32)


def single(
    name: str,
    operands: Sequence[tuple[int, ...] | Array | None],
    outputs: Sequence[tuple[int, ...]],
    dtype: str = "float32",
    *,
    version: int = 1,
    quant: models.Quant = QUANT,
    **options: Any,
) -> bytes:
    """Shapes become inputs of ``dtype``, arrays constants of their own type, ``None`` is absent;
    integer activations have the scale ``quant``, but for the outputs' where ``out`` is given."""
    out = options.pop("out", quant)
    graph = models.Graph()
    indices = []
    for position, operand in enumerate(operands):
        if operand is None:
            indices.append(-1)
        elif isinstance(operand, tuple):
            scale = None if dtype == "float32" else quant
            graph.inputs[f"x{position}"] = graph.tensor(f"x{position}", operand, dtype, quant=scale)
            indices.append(graph.inputs[f"x{position}"])
        else:
            kind = "float32" if operand.dtype.kind == "f" else operand.dtype.name
            held = {"int8": models.Quant((0.01,), (0,))}.get(kind)
            if kind == "int32" and position == 2 and name in _WEIGHTED:
                held = models.Quant((0.0005,), (0,))
            indices.append(graph.tensor(f"c{position}", operand.shape, kind, operand, quant=held))
    written = []
    for position, shape in enumerate(outputs):
        scale = None if dtype == "float32" else out
        written.append(graph.tensor(f"y{position}", shape, dtype, quant=scale))
        graph.outputs[f"y{position}"] = written[-1]
    graph.operator(name, indices, written, **options)
    model = flatbuffer.unpack(models.write([graph], {"serving_default": 0}))
    for code in model.operatorCodes:
        code.version = version
    return flatbuffer.pack(model)


def reason(why_not: Callable[[Operator], str | None], data: bytes) -> str | None:
    """What a delegate's rules say to the only operator of ``data``."""
    graph = parse_graph(data)
    (op,) = graph.ops
    return why_not(Operator(graph, op))
