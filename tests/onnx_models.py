"""Tiny ONNX models for tests: the network of ``tflite_models``, channels-first.

Input ``x`` [N, 3, 4, 4], outputs ``hidden`` [N, 2, 4, 4] (after the ReLU) and ``scores`` [N, 5].
``tests.tflite_models.hidden`` and ``reference`` are its text in NumPy, channels-last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.recipe.schema import InputSpec
from tests import tflite_models as models

OPSET = 17
IMAGE = InputSpec("x", (1, 3, 4, 4), "float32", "NCHW")


def float_model(
    batch: int | str | None = 1,
    *,
    opset: int = OPSET,
    seed: int = 0,
    weights_as_inputs: bool = False,
) -> Any:
    """The network as a ``ModelProto``; ``batch`` is a size, a symbol, or open without a name."""
    w = models.weights(seed)
    arrays = {
        "filter": w.filter.transpose(0, 3, 1, 2),
        "filter_bias": w.filter_bias,
        "matrix": w.matrix,
        "matrix_bias": w.matrix_bias,
    }
    initializers = [numpy_helper.from_array(array.copy(), name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Conv", ["x", "filter", "filter_bias"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["hidden"], "relu"),
        helper.make_node("Transpose", ["hidden"], ["t"], "last", perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", ["t"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "matrix", "matrix_bias"], ["scores"], "fc", transB=1),
    ]
    inputs = [info("x", (batch, 3, 4, 4))]
    if weights_as_inputs:
        inputs += [info(name, array.shape) for name, array in arrays.items()]
    outputs = [info("hidden", (batch, 2, 4, 4)), info("scores", (batch, 5))]
    return model(nodes, inputs, outputs, initializers, opset=opset)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
    *,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> Any:
    """A ``ModelProto`` of these parts."""
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def info(name: str, shape: Sequence[int | str | None], dtype: int = TensorProto.FLOAT) -> Any:
    """A ``ValueInfoProto``."""
    return helper.make_tensor_value_info(name, dtype, list(shape))


def unary(op: str = "Relu", *, dtype: int = TensorProto.FLOAT, **options: Any) -> Any:
    """One node from ``x`` [1, 4] to ``y`` [1, 4]; ``options`` are those of ``make_node``."""
    domain = options.get("domain", "")
    node = helper.make_node(op, ["x"], ["y"], **{"name": "only", **options})
    ends = [info("x", (1, 4), dtype)], [info("y", (1, 4), dtype)]
    return model([node], *ends, domains=[domain] if domain else [])


def with_external_data(file: Path, location: str = "weights.bin") -> None:
    """Write the network to ``file``, its weights beside it."""
    made = float_model()
    onnx.save_model(made, file, save_as_external_data=True, location=location, size_threshold=0)


def images(batch: int = 1) -> models.Array:
    return np.random.default_rng(5).normal(size=(batch, 4, 4, 3)).astype(np.float32)
