"""Types and shapes behind operators that onnx does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.onnx.shapes import only_the_runtimes, with_shapes
from tests.onnx_models import info, model


def _gelu() -> Any:
    """MatMul, ONNX Runtime's Gelu, MatMul: ``x`` [1, 4] to ``y`` [1, 2]."""
    arrays = {"v": (4, 6), "w": (6, 2)}
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["a"], "one"),
        helper.make_node("Gelu", ["a"], ["g"], "gelu", domain="com.microsoft"),
        helper.make_node("MatMul", ["g", "w"], ["b"], "two"),
        helper.make_node("Relu", ["b"], ["y"], "relu"),
    ]
    constants = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in arrays.items()]
    ends = [info("x", (1, 4))], [info("y", (1, 2))]
    return model(nodes, *ends, constants, domains=["com.microsoft"])


def _stated(made: Any) -> dict[str, tuple[int, list[int]]]:
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in made.graph.value_info
    }


def test_the_runtime_is_asked_where_onnx_knows_nothing() -> None:
    found = _stated(with_shapes(_gelu(), "m.onnx"))
    float32 = TensorProto.FLOAT
    assert found == {"a": (float32, [1, 6]), "g": (float32, [1, 6]), "b": (float32, [1, 2])}


def test_only_what_cannot_be_inferred_again_stays() -> None:
    made = with_shapes(_gelu(), "m.onnx")
    only_the_runtimes(made)
    assert set(_stated(made)) == {"g"}
