"""Small graphs with channels that run from a layer to a depthwise convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests import tflite_models as models
from tests.optimize.cases import depthwise, pool
from tests.tflite.graphs import conv_options

SPREAD = (1.0, 0.01, 20.0, 0.3)
"""How wide the four channels in the middle are, before an activation."""


def linked(
    *,
    activation: int = 1,
    between: str | None = None,
    multiplier: int = 1,
    writer: str = "CONV_2D",
    spread: tuple[float, ...] = SPREAD,
    also: str | None = None,
) -> bytes:
    """Layer, perhaps PAD or a pool, depthwise convolution. ``also`` is who else has the channels
    between: an ``output``, an ``add``, a dense ``conv``, a second ``depthwise`` one."""
    random = np.random.default_rng(0)
    graph = models.Graph()
    x = graph.tensor("x", (1, 6, 6, 4))

    def constant(name: str, values: Any) -> int:
        return graph.tensor(name, np.shape(values), data=np.asarray(values, np.float32))

    h = graph.tensor("h", (1, 6, 6, 4))
    bias = constant("bias", random.normal(size=4) * spread)
    if writer == "CONV_2D":
        values = random.normal(size=(4, 1, 1, 4)) * np.reshape(spread, (4, 1, 1, 1)) * 0.5
        kernel = constant("kernel", values)
        told = conv_options(fusedActivationFunction=activation)
    else:
        kernel = constant("kernel", random.normal(size=(1, 3, 3, 4)) * spread)
        told = depthwise(fusedActivationFunction=activation)
    graph.operator(writer, [x, kernel, bias], [h], **told)
    last = h
    if between == "PAD":
        widths = graph.tensor("w", (4, 2), "int32", np.array([[0, 0], [0, 1], [1, 0], [0, 0]]))
        last = graph.tensor("between", (1, 7, 7, 4))
        graph.operator("PAD", [h, widths], [last], table="PadOptions")
    elif between == "PAD channels":
        widths = graph.tensor("w", (4, 2), "int32", np.array([[0, 0], [0, 0], [0, 0], [1, 3]]))
        last = graph.tensor("between", (1, 6, 6, 8))
        graph.operator("PAD", [h, widths], [last], table="PadOptions")
    elif between is not None:
        last = graph.tensor("between", (1, 3, 3, 4))
        graph.operator(between, [h], [last], **pool(strideH=2, strideW=2))
    shape = tuple(graph.tensors[last].shape)
    channels = shape[3] * multiplier
    y = graph.tensor("y", (*shape[:3], channels))
    weights = constant("weights", random.normal(size=(1, 3, 3, channels)))
    offset = constant("offset", random.normal(size=channels))
    graph.operator("DEPTHWISE_CONV_2D", [last, weights, offset], [y], **depthwise(multiplier))
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    if also == "output":
        graph.outputs["h"] = h
    elif also is not None:
        more = graph.tensor("more", (1, 6, 6, 4))
        graph.outputs["more"] = more
        if also == "add":
            graph.operator("ADD", [h, x], [more], table="AddOptions")
        elif also == "conv":
            other = constant("other", random.normal(size=(4, 1, 1, 4)))
            graph.operator("CONV_2D", [h, other, constant("o", np.zeros(4))], [more], **told)
        elif also == "depthwise":
            other = constant("other", random.normal(size=(1, 3, 3, 4)))
            operands = [h, other, constant("o", np.zeros(4))]
            graph.operator("DEPTHWISE_CONV_2D", operands, [more], **depthwise())
    return models.write([graph], {"serving_default": 0})
