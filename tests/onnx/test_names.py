"""Names and order of an exported graph: readable, unique, the same every time."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.onnx.names import (
    forget_origin,
    name_constants,
    name_ends,
    name_layers,
    rename_tensors,
)
from edgekit.onnx.order import order_nodes

X = np.array([[1, -2, 3]], np.float32)


def ends(*names: str) -> list[Any]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in names]


def model_of(nodes: list[Any], outputs: tuple[str, ...], **constants: Any) -> Any:
    initializers = [
        numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "g", ends("in"), ends(*outputs), initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made


def answers(model: Any) -> dict[str, Any]:
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    found = session.run(None, {session.get_inputs()[0].name: X})
    return dict(zip(names, found, strict=True))


def test_ends_take_names_that_the_graph_uses_inside() -> None:
    nodes = [
        helper.make_node("Relu", ["in"], ["scores"]),
        helper.make_node("Add", ["scores", "image"], ["out"]),
    ]
    model = model_of(nodes, ("out",), image=2.0)
    name_ends(model, ["image"], ["scores"])
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [
        "image",
        "scores",
    ]
    np.testing.assert_array_equal(answers(model)["scores"], X.clip(0) + 2)


def test_two_outputs_change_names() -> None:
    nodes = [helper.make_node("Relu", ["in"], ["a"]), helper.make_node("Neg", ["in"], ["b"])]
    model = model_of(nodes, ("a", "b"))
    name_ends(model, ["in"], ["b", "a"])
    found = answers(model)
    np.testing.assert_array_equal(found["b"], X.clip(0))
    np.testing.assert_array_equal(found["a"], -X)


def test_an_output_that_is_an_input_a_constant_or_another_output() -> None:
    model = model_of([helper.make_node("Relu", ["in"], ["a"])], ("a", "in", "a", "k"), k=7.0)
    model.graph.output[3].type.tensor_type.shape.ClearField("dim")
    name_ends(model, ["x"], ["one", "two", "three", "four"])
    found = answers(model)
    for name, wanted in {"one": X.clip(0), "two": X, "three": X.clip(0), "four": 7}.items():
        np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.parametrize(("inputs", "outputs"), [((), ("y",)), (("x",), ("y", "z"))])
def test_other_ends_than_names(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    model = model_of([helper.make_node("Relu", ["in"], ["a"])], ("a",))
    with pytest.raises(ValueError, match=r"\d (input|output) names"):
        name_ends(model, inputs, outputs)


def branching() -> Any:
    """[If] over [in], whose branches read from around them."""

    def branch(op: str, name: str) -> Any:
        node = helper.make_node(op, ["hidden", "k"], [name], name="inner_77")
        return helper.make_graph([node], name, [], ends(name))

    nodes = [
        helper.make_node("Relu", ["in"], ["hidden"], name="relu_5"),
        helper.make_node("ReduceSum", ["hidden"], ["sum"], keepdims=0, name="sum_6"),
        helper.make_node("Greater", ["sum", "k"], ["more"], name="more_7"),
        helper.make_node(
            "If",
            ["more"],
            ["out"],
            name="if_8",
            then_branch=branch("Add", "t"),
            else_branch=branch("Mul", "e"),
        ),
    ]
    return model_of(nodes, ("out",), k=3.0)


def test_layers_and_constants_inside_a_branch_are_named_with_it() -> None:
    model = branching()
    before = answers(model)["out"]
    name_layers(model, lambda node: node.name.rpartition("_")[0])
    name_constants(model)
    then, other = (attribute.g for attribute in model.graph.node[3].attribute)
    assert [node.name for node in model.graph.node] == ["relu", "sum", "more", "if"]
    assert {then.node[0].name, other.node[0].name} == {"if/Add", "if/Mul"}
    assert [tensor.name for tensor in model.graph.initializer] == ["more.1"]
    np.testing.assert_array_equal(answers(model)["if"], before)


def test_layers_of_one_name_are_numbered() -> None:
    nodes = [
        helper.make_node("Relu", ["in"], ["a"], name="n"),
        helper.make_node("Relu", ["a"], ["b"], name="m"),
    ]
    model = model_of(nodes, ("b",))
    name_layers(model, lambda node: "in")
    assert [node.name for node in model.graph.node] == ["in", "in_2"]
    assert [node.output[0] for node in model.graph.node] == ["in_2", "in_2_2"]
    np.testing.assert_array_equal(answers(model)["in_2_2"], X.clip(0))


def test_what_tells_of_the_machine_goes() -> None:
    model = branching()
    model.doc_string = model.graph.doc_string = "made in /home/somebody"
    model.graph.node[0].doc_string = "/home/somebody/net.py"
    model.graph.node[3].attribute[0].g.node[0].doc_string = "/home/somebody/net.py"
    model.metadata_props.add(key="user", value="somebody")
    model.graph.node[1].metadata_props.add(key="stack", value="/home/somebody/net.py")
    model.graph.input[0].doc_string = "somebody"
    forget_origin(model)
    assert b"somebody" not in model.SerializeToString()
    answers(model)


def test_renaming_reaches_graphs_inside() -> None:
    model = branching()
    before = answers(model)["out"]
    rename_tensors(model, {"hidden": "k", "k": "hidden"})
    np.testing.assert_array_equal(answers(model)["out"], before)


@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_any_order_of_the_nodes_becomes_the_same_bytes(count: int, chance: random.Random) -> None:
    names, nodes = ["in"], []
    for number in range(count):
        reads = [chance.choice(names), chance.choice([*names, "k0", "k1"])]
        nodes.append(helper.make_node("Add", reads, [f"t{number}"], name=f"n{number}"))
        names.append(f"t{number}")
    dead = helper.make_node("Neg", ["in"], ["dead"], name="dead")
    first = model_of([*nodes, dead], (names[-1],), k0=1.0, k1=2.0)
    wanted = answers(first)[names[-1]]
    order_nodes(first)
    chance.shuffle(nodes)
    second = model_of([dead, *nodes], (names[-1],), k1=2.0, k0=1.0)
    order_nodes(second)
    assert first.SerializeToString() == second.SerializeToString()
    assert "dead" not in [node.name for node in first.graph.node]
    np.testing.assert_array_equal(answers(first)[names[-1]], wanted)


def test_a_branch_comes_after_what_its_inside_reads() -> None:
    model = branching()
    wanted = answers(model)["out"]
    nodes = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    order_nodes(model)
    assert model.graph.node[-1].op_type == "If"
    np.testing.assert_array_equal(answers(model)["out"], wanted)


def test_a_chain_longer_than_the_stack() -> None:
    nodes = [
        helper.make_node("Neg", [f"t{i}" if i else "in"], [f"t{i + 1}"], name=f"n{i}")
        for i in range(3000)
    ]
    model = model_of(list(reversed(nodes)), ("t3000",))
    order_nodes(model)
    assert [node.name for node in model.graph.node] == [f"n{i}" for i in range(3000)]
