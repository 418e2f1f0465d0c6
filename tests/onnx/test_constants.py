"""Rewritten constants: the model answers as before, and each weight has one way of being read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgekit.onnx.constants import fold_gemm_factors, part_shared_weights
from tests.onnx_models import info, model


def _square(*nodes: Any, outputs: tuple[str, ...]) -> Any:
    random = np.random.default_rng(0)
    arrays = {"w": random.normal(size=(4, 4)), "b": random.normal(size=4)}
    return model(
        list(nodes),
        [info("x", (1, 4))],
        [info(name, (1, 4)) for name in outputs],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()],
    )


def _answers(made: Any) -> list[Any]:
    feed = np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": feed})


@pytest.mark.parametrize("inputs", [["x", "w", "b"], ["x", "w"], ["x", "w", "x"]])
def test_factors_are_folded_where_they_multiply_constants(inputs: list[str]) -> None:
    made = _square(
        helper.make_node("Gemm", inputs, ["y"], "g", alpha=0.5, beta=3.0), outputs=("y",)
    )
    before = _answers(made)
    fold_gemm_factors(made)
    np.testing.assert_allclose(_answers(made)[0], before[0], rtol=1e-5)
    left = {each.name for each in made.graph.node[0].attribute}
    assert left == ({"beta"} if inputs[2:] == ["x"] else set())
    assert "w" not in {each.name for each in made.graph.initializer}


def test_a_weight_read_along_two_axes_becomes_two_and_others_stay_shared() -> None:
    made = _square(
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "one", transB=1),
        helper.make_node("Gemm", ["h", "w", "b"], ["i"], "two", transB=1),
        helper.make_node("MatMul", ["i", "w"], ["y"], "three"),
        outputs=("y",),
    )
    before = _answers(made)
    part_shared_weights(made)
    assert [node.input[1] for node in made.graph.node] == ["w", "w", "w_copy"]
    np.testing.assert_array_equal(_answers(made)[0], before[0])


def test_operators_can_ask_for_one_each() -> None:
    made = _square(
        helper.make_node("Gemm", ["x", "w"], ["h"], "one", transB=1),
        helper.make_node("Gemm", ["h", "w"], ["y"], "two", transB=1),
        outputs=("y",),
    )
    part_shared_weights(made, copied=("Gemm",))
    assert [node.input[1] for node in made.graph.node] == ["w", "w_copy"]
