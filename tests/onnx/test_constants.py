"""Rewritten constants: the model answers as before, and each weight has one way of being read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgekit.onnx.constants import copy_into_inner_graphs, part_shared_weights
from edgekit.onnx.ops import nodes
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


def test_a_bias_that_is_read_as_a_value_too_becomes_two() -> None:
    made = _square(
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "one"),
        helper.make_node("Add", ["h", "b"], ["y"], "two"),
        outputs=("y",),
    )
    before = _answers(made)
    part_shared_weights(made)
    assert [node.input[-1] for node in made.graph.node] == ["b", "b_copy"]
    np.testing.assert_array_equal(_answers(made)[0], before[0])


def test_graphs_inside_get_copies_of_the_constants_that_they_read() -> None:
    def branch(name: str, *steps: Any) -> Any:
        return helper.make_graph(list(steps), name, [], [info(f"{name}_y", (1, 4))])

    inner = branch("inner", helper.make_node("Add", ["x", "b"], ["inner_y"]))
    one = branch(
        "one",
        helper.make_node("If", ["c"], ["deep"], "deep", then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["deep", "w"], ["one_y"]),
    )
    two = branch("two", helper.make_node("Add", ["x", "b"], ["two_y"]))
    made = _square(
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["h"], "if", then_branch=one, else_branch=two),
        helper.make_node("Add", ["h", "b"], ["y"], "last"),
        outputs=("y",),
    )
    before = _answers(made)
    copy_into_inner_graphs(made)
    np.testing.assert_array_equal(_answers(made), before)
    assert [tensor.name for tensor in made.graph.initializer] == ["b"]
    inside = [node for node in nodes(made.graph.node) if node not in made.graph.node]
    assert not {"w", "b"} & {name for node in inside for name in node.input}
