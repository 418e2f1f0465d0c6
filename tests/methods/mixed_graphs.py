"""Float graphs for mixed precision: a chain with one damaged layer, and one operator at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests import tflite_models as models
from tests.tflite.graphs import conv_options

CHANNELS, LAYERS, DAMAGED = 6, 12, "conv5"
OUTLIER = 500.0
_MAP: tuple[int, ...] = (1, 4, 4, CHANNELS)
_REDUCER: dict[str, Any] = {"table": "ReducerOptions", "keepDims": False}
_BY_TWO: dict[str, Any] = {"padding": 1, "strideW": 2, "strideH": 2}


def chain(seed: int = 0) -> bytes:
    """Convolutions ``conv0`` to ``conv11``, ``mean`` and ``scores``. One channel that ``conv5``
    writes is ``OUTLIER`` times as large as the others and read with weights of zero: float
    arithmetic does not mind, but its range leaves no steps for the others."""
    rng = np.random.default_rng(seed)
    graph = models.Graph()
    before = x = graph.tensor("x", models.INPUT_SHAPE)
    inputs = models.INPUT_SHAPE[3]
    for layer in range(LAYERS):
        weights = rng.normal(size=(CHANNELS, 1, 1, inputs)) / inputs**0.5
        if f"conv{layer}" == DAMAGED:
            weights[0] *= OUTLIER
        if f"conv{layer - 1}" == DAMAGED:
            weights[..., 0] = 0
        kernel = graph.tensor(f"kernel{layer}", weights.shape, data=weights)
        bias = graph.tensor(f"bias{layer}", (CHANNELS,), data=np.zeros(CHANNELS))
        after = graph.tensor(f"conv{layer}", _MAP)
        graph.operator("CONV_2D", [before, kernel, bias], [after], **conv_options())
        before, inputs = after, CHANNELS
    axes = graph.tensor("axes", (2,), "int32", np.array([1, 2]))
    mean = graph.tensor("mean", (1, CHANNELS))
    graph.operator("MEAN", [before, axes], [mean], **_REDUCER)
    matrix = rng.normal(size=(models.CLASSES, CHANNELS))
    scores = graph.tensor("scores", (1, models.CLASSES))
    graph.operator(
        "FULLY_CONNECTED",
        [mean, graph.tensor("matrix", matrix.shape, data=matrix)],
        [scores],
        table="FullyConnectedOptions",
    )
    graph.inputs, graph.outputs = {"x": x}, {"scores": scores}
    return models.write([graph], {"serving_default": 0})


def hard_swish(seed: int = 0) -> bytes:
    """A convolution ``conv``, its hard-swish ``act``, and a convolution ``last`` that does not read
    the channel which is ``OUTLIER`` times as large as the others."""
    rng = np.random.default_rng(seed)
    graph = models.Graph()
    x = graph.tensor("x", models.INPUT_SHAPE)
    before, inputs = x, models.INPUT_SHAPE[3]
    for name in ("conv", "last"):
        weights = rng.normal(size=(CHANNELS, 1, 1, inputs))
        if name == "conv":
            weights[0] *= OUTLIER
        else:
            weights[..., 0] = 0
        kernel = graph.tensor(f"{name}_kernel", weights.shape, data=weights)
        bias = graph.tensor(f"{name}_bias", (CHANNELS,), data=np.zeros(CHANNELS))
        after = graph.tensor(name, _MAP)
        graph.operator("CONV_2D", [before, kernel, bias], [after], **conv_options())
        before, inputs = after, CHANNELS
        if name == "conv":
            before = graph.tensor("act", _MAP)
            graph.operator("HARD_SWISH", [after], [before])
    graph.inputs, graph.outputs = {"x": x}, {"last": before}
    return models.write([graph], {"serving_default": 0})


def around(kind: str, seed: int = 0) -> bytes:
    """A convolution ``conv``, ``act`` (operator ``kind`` on it), fully connected ``scores``."""
    rng = np.random.default_rng(seed)
    graph = models.Graph()
    x = graph.tensor("x", models.INPUT_SHAPE)
    filters = rng.normal(size=(CHANNELS, 1, 1, models.INPUT_SHAPE[3]))
    kernel = graph.tensor("kernel", filters.shape, data=filters)
    # Far from zero, so that nothing divides by it.
    bias = graph.tensor("bias", (CHANNELS,), data=rng.normal(size=CHANNELS) + 12)
    conv = graph.tensor("conv", _MAP)
    graph.operator("CONV_2D", [x, kernel, bias], [conv], **conv_options())

    def constant(values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values)
        return graph.tensor(f"constant{len(graph.tensors)}", array.shape, dtype, array)

    inputs, shape, options = [conv], _MAP, dict[str, Any]()
    match kind:
        case "ADD" | "MUL":
            inputs, options = [conv, conv], {"table": f"{kind.title()}Options"}
        case "SUB" | "DIV":
            inputs.append(constant(np.full((1, 1, 1, CHANNELS), 3.0)))
            options = {"table": f"{kind.title()}Options"}
        case "MEAN" | "SUM" | "REDUCE_MIN":
            inputs.append(constant([1, 2], "int32"))
            shape, options = (1, CHANNELS), _REDUCER
        case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
            shape = (1, 2, 2, CHANNELS)
            options = {"table": "Pool2DOptions", "filterWidth": 2, "filterHeight": 2, **_BY_TWO}
        case "SOFTMAX":
            options = {"table": "SoftmaxOptions", "beta": 1.0}
        case "GELU":
            options = {"table": "GeluOptions", "approximate": False}
        case "PAD" | "PADV2":
            inputs.append(constant([[0, 0], [1, 1], [1, 1], [0, 0]], "int32"))
            inputs += [constant(np.float32(-1))] if kind == "PADV2" else []
            shape = (1, 6, 6, CHANNELS)
            options = {"table": "PadOptions" if kind == "PAD" else "PadV2Options"}
        case "TRANSPOSE":
            inputs.append(constant([0, 2, 1, 3], "int32"))
            options = {"table": "TransposeOptions"}
        case "RESHAPE":
            inputs.append(constant([1, 96], "int32"))
            shape, options = (1, 96), {"table": "ReshapeOptions", "newShape": [1, 96]}
        case "CONCATENATION":
            inputs, shape = [conv, conv], (1, 4, 4, 2 * CHANNELS)
            options = {"table": "ConcatenationOptions", "axis": 3}
        case "CONV_2D":
            inputs.append(constant(rng.normal(size=(CHANNELS, 1, 1, CHANNELS))))
            inputs.append(constant(rng.normal(size=CHANNELS)))
            options = conv_options()
        case "DEPTHWISE_CONV_2D":
            inputs.append(constant(rng.normal(size=(1, 3, 3, CHANNELS))))
            inputs.append(constant(rng.normal(size=CHANNELS)))
            options = {**conv_options(), "table": "DepthwiseConv2DOptions", "depthMultiplier": 1}
        case "TRANSPOSE_CONV":
            weights = constant(rng.normal(size=(5, 2, 2, CHANNELS)))
            inputs = [constant([1, 8, 8, 5], "int32"), weights, conv]
            shape, options = (1, 8, 8, 5), {"table": "TransposeConvOptions", **_BY_TWO}
        case "BATCH_MATMUL":
            inputs.append(constant(rng.normal(size=(1, 1, CHANNELS, 5))))
            shape, options = (1, 4, 4, 5), {"table": "BatchMatMulOptions"}
        case "FULLY_CONNECTED":
            inputs.append(constant(rng.normal(size=(8, 96))))
            shape, options = (1, 8), {"table": "FullyConnectedOptions"}
    act = graph.tensor("act", shape)
    graph.operator(kind, inputs, [act], **options)
    size = int(np.prod(shape))
    matrix = constant(rng.normal(size=(models.CLASSES, size)) / size**0.5)
    scores = graph.tensor("scores", (1, models.CLASSES))
    graph.operator("FULLY_CONNECTED", [act, matrix], [scores], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": scores}
    return models.write([graph], {"serving_default": 0})
