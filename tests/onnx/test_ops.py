"""Operators and their names."""

from __future__ import annotations

from onnx import helper

from edgekit.onnx.ops import Operator, listed, operators
from tests.onnx_models import info, model


def test_every_node_is_named() -> None:
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "body", [], [info("b", (1,))])
    nodes = [
        helper.make_node("If", ["c"], ["y"], "choose", then_branch=body, else_branch=body),
        helper.make_node("Gelu", ["y"], ["z"], domain="com.microsoft"),
        helper.make_node("Abs", ["z"], ["w"], domain="ai.onnx"),
    ]
    assert operators(model(nodes, [], [info("w", (1,))])) == (
        Operator("If", "", "choose"),
        Operator("Neg", "", "b"),
        Operator("Neg", "", "b"),
        Operator("Gelu", "com.microsoft", "z"),
        Operator("Abs", "", "w"),
    )


def test_an_operator_says_where_it_is() -> None:
    assert str(Operator("Gelu", "com.microsoft", "z")) == "com.microsoft.Gelu at z"
    assert str(Operator("If", "", "choose")) == "If at choose"


def test_a_long_list_is_cut() -> None:
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(7)) == "0, 1, 2, 3, 4 and 2 more"
