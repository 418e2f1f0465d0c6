"""onnxslim behind our own checks: fewer operators, the same answers, nothing else touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit.onnx.simplify import simplified
from edgekit.progress import SilentProgress

SHAPE = (1, 2, 4, 4)


class Warned(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str) -> None:
        self.lines.append(message)


def model_of(
    nodes: list[Any],
    constants: dict[str, Any],
    outputs: list[str],
    inputs: tuple[str, ...] = ("x",),
) -> Any:
    def ends(names: Any) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in names]

    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", ends(inputs), ends(outputs), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: Any, **feeds: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return list(session.run(None, feeds))


def conv_net() -> Any:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(2, 2, 3, 3)).astype(np.float32),
        "scale": rng.uniform(0.5, 2, 2).astype(np.float32),
        "bias": rng.normal(size=2).astype(np.float32),
        "mean": rng.normal(size=2).astype(np.float32),
        "var": rng.uniform(0.5, 2, 2).astype(np.float32),
    }
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Conv", ["same", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"]),
        helper.make_node("Transpose", ["n"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["t"], ["u"], perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["u"], ["y"]),
    ]
    return model_of(nodes, constants, ["y"])


def test_folds_what_does_nothing_and_answers_the_same() -> None:
    model = conv_net()
    before = model.SerializeToString()
    made = simplified(model)
    assert [node.op_type for node in made.graph.node] == ["Conv", "Relu"]
    assert model.SerializeToString() == before
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    np.testing.assert_allclose(answers(made, x=x)[0], answers(model, x=x)[0], atol=1e-5)
    inner = made.graph.value_info[0].type.tensor_type.shape
    assert [size.dim_value for size in inner.dim] == list(SHAPE)


def test_keeps_an_input_that_nothing_reads_and_outputs_that_are_one_tensor() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Identity", ["x"], ["c"]),
    ]
    model = model_of(nodes, {}, ["b", "a", "c"], ("x", "unused"))
    made = simplified(model)
    assert [value.name for value in made.graph.input] == ["x", "unused"]
    assert [value.name for value in made.graph.output] == ["b", "a", "c"]
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(SHAPE)
    found = answers(made, x=x, unused=x)
    for array, wanted in zip(found, (x.clip(0), x.clip(0), x), strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_nothing_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    simplified(conv_net())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("failure", ["raises", "loses an output", "breaks the graph"])
def test_where_onnxslim_fails_the_model_stays_and_a_warning_says_so(
    failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slim(model: Any) -> Any:
        if failure == "raises":
            raise KeyError("tensor_7")
        if failure == "loses an output":
            model.graph.output[0].name = "n"
        else:
            model.graph.node[0].input[0] = "nobody"
        return model

    monkeypatch.setattr("onnxslim.slim", slim)
    warned = Warned()
    model = conv_net()
    made = simplified(model, warned)
    assert [node.op_type for node in made.graph.node] == [n.op_type for n in model.graph.node]
    assert [value.name for value in made.graph.output] == ["y"]
    (line,) = warned.lines
    assert line.startswith("the ONNX model is used as it was exported, not simplified: ")


def test_what_the_checker_refuses_is_an_error() -> None:
    model = conv_net()
    model.graph.node[1].input[0] = "nobody"
    with pytest.raises(ConversionError, match=r"onnx\.checker refuses the model: .*nobody"):
        simplified(model)


def test_functions_are_inlined() -> None:
    double = helper.make_function(
        "own", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    model = model_of([helper.make_node("Double", ["x"], ["y"], domain="own")], {}, ["y"])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(double)
    made = simplified(model)
    assert ([node.op_type for node in made.graph.node], len(made.functions)) == (["Add"], 0)


UNARY = ("Relu", "Identity", "Neg", "Sigmoid", "Clip", "Transpose", "There and back", "Reshape")
BINARY = ("Add", "Mul", "Sub", "Add constant", "Mul constant", "Conv", "BatchNormalization", "Pad")


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """A chain with branches over [1, 2, 4, 4], in every step an operator that slimming may fold."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    constants: dict[str, Any] = {
        "low": np.float32(-1),
        "high": np.float32(1),
        "flat": np.array([1, 32], np.int64),
        "full": np.array(SHAPE, np.int64),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    }
    nodes: list[Any] = []
    tensors = ["x"]

    def put(op: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(*shape: int, low: float = -1.0) -> str:
        name = f"k{len(constants)}"
        constants[name] = rng.uniform(low, 1, shape).astype(np.float32)
        return name

    for _ in range(draw(st.integers(1, 7))):
        a, b = draw(st.sampled_from(tensors)), draw(st.sampled_from(tensors))
        op = draw(st.sampled_from(UNARY + BINARY))
        if op == "Clip":
            made = put(op, a, "low", "high")
        elif op == "Transpose":
            made = put(op, a, perm=[0, 1, 3, 2])
        elif op == "There and back":
            made = put("Transpose", put("Transpose", a, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
        elif op == "Reshape":
            made = put(op, put(op, a, "flat"), "full")
        elif op.endswith(" constant"):
            shape = draw(st.sampled_from([(1, 2, 1, 1), (1,), SHAPE]))
            made = put(op.removesuffix(" constant"), a, constant(*shape))
        elif op == "Conv":
            made = put(op, a, constant(2, 2, 3, 3), constant(2), pads=[1, 1, 1, 1])
        elif op == "Pad":
            made = put("Conv", put(op, a, "pads"), constant(2, 2, 3, 3))
        elif op == "BatchNormalization":
            made = put(op, a, *(constant(2, low=0.5) for _ in range(4)))
        else:
            made = put(op, a) if op in UNARY else put(op, a, b)
        tensors.append(made)
    outputs = draw(st.lists(st.sampled_from(tensors[1:]), min_size=1, max_size=3, unique=True))
    return model_of(nodes, constants, outputs)


@settings(max_examples=150)
@given(graphs())
def test_random_graphs_answer_the_same(model: Any) -> None:
    warned = Warned()
    made = simplified(model, warned)
    onnx.checker.check_model(made, full_check=True)
    assert len(made.graph.node) <= len(model.graph.node)
    assert [v.name for v in made.graph.output] == [v.name for v in model.graph.output]
    x = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    for found, wanted in zip(answers(made, x=x), answers(model, x=x), strict=True):
        scale = max(float(np.abs(wanted).max()), 1.0)
        np.testing.assert_allclose(found / scale, wanted / scale, atol=2e-5)
    assert warned.lines == []
