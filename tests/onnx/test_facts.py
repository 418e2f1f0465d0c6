"""Facts of an .onnx, held against what ONNX Runtime makes of the same file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import SourceError
from edgekit.methods import load_method
from edgekit.onnx.facts import inspect, model_facts
from tests.methods.onnx_jobs import (
    blocks,
    branching,
    onnx_job,
)
from tests.onnx_models import info, model


def _qdq(op: str, *, inputs: int = 1, requantized: bool = True, **attributes: Any) -> Any:
    """One operator on dequantized inputs [1, 4, 6, 6]; its output requantized or left."""
    names = [f"x{i}" for i in range(inputs)]
    nodes = []
    for name in names:
        nodes += [
            helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}q"]),
            helper.make_node("DequantizeLinear", [f"{name}q", "s", "z"], [f"{name}d"]),
        ]
    reads = [f"{name}d" for name in names]
    constants = [
        numpy_helper.from_array(np.float32(0.05), "s"),
        numpy_helper.from_array(np.uint8(128), "z"),
    ]
    if op == "Reshape":
        reads.append("to")
        constants.append(numpy_helper.from_array(np.array([1, 144]), "to"))
    nodes.append(helper.make_node(op, reads, ["y"], "it", **attributes))
    out = "y"
    if requantized:
        nodes += [
            helper.make_node("QuantizeLinear", ["y", "s", "z"], ["yq"]),
            helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["out"]),
        ]
        out = "out"
    return model(
        nodes,
        [info(name, (1, 4, 6, 6)) for name in names],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        constants,
    )


def _loaded(data: bytes, folder: Path) -> Counter[str]:
    """Operators that ONNX Runtime holds after loading, by name."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # no layouts of this processor
    )
    options.optimized_model_filepath = str(folder / "loaded.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "loaded.onnx").graph.node)


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("Add", {"inputs": 2}),
        ("Mul", {"inputs": 2}),
        ("Sub", {"inputs": 2}),
        ("Div", {"inputs": 2}),
        ("Concat", {"inputs": 2, "axis": 1}),
        ("AveragePool", {"kernel_shape": [2, 2]}),
        ("GlobalAveragePool", {}),
        ("MaxPool", {"kernel_shape": [2, 2]}),
        ("LeakyRelu", {}),
        ("Sigmoid", {}),
        ("Softmax", {}),
        ("Tanh", {}),
        ("ReduceMean", {"axes": [2, 3]}),
        ("Transpose", {"perm": [0, 2, 3, 1]}),
        ("Flatten", {}),
        ("Reshape", {}),
        ("HardSwish", {}),
        ("Elu", {}),
    ],
)
@pytest.mark.parametrize("requantized", [True, False])
def test_an_operator_is_int8_where_the_runtime_replaces_it(
    tmp_path: Path, op: str, options: dict[str, Any], requantized: bool
) -> None:
    made = _qdq(op, requantized=requantized, **options)
    found = model_facts(made)
    float_ops = [each.op for each in found.float_ops or ()]
    # Left float, the runtime has the operator between conversions still, or one of its functions'.
    loaded = _loaded(made.SerializeToString(), tmp_path)
    integer = any(name.startswith("QLinear") for name in loaded)
    moved = op in ("MaxPool", "Transpose", "Flatten", "Reshape") and loaded[op] == 1
    if moved:
        loaded_model = onnx.load(tmp_path / "loaded.onnx")
        (node,) = (n for n in loaded_model.graph.node if n.op_type == op)
        makers = {name: n.op_type for n in loaded_model.graph.node for name in n.output}
        integer = makers.get(node.input[0]) == "QuantizeLinear"
    assert (op not in float_ops) == integer, loaded


def test_every_float_operator_is_listed_in_a_float_model() -> None:
    facts = model_facts(blocks())
    assert [op.op for op in facts.float_ops or ()] == [n.op_type for n in blocks().graph.node]
    assert facts.ops == 8
    assert facts.int8_mac_fraction == 0.0
    assert facts.macs == 16 * 8 * (27 + 9 + 8) + 5 * 8
    assert {module.compute for module in facts.modules or ()} == {"float"}
    assert [(m.name, m.bytes) for m in facts.modules or ()] == [
        ("front", 4 * (8 * 27 + 8)),
        ("block/deep", 4 * 8 * 9),
        ("block/point", 4 * 64),
        ("head", 4 * (40 + 5)),
    ]


def test_modules_of_a_quantized_model_are_int8_with_their_bits(
    tmp_path: Path,
) -> None:
    file = (
        load_method("ort_static").quantize(onnx_job(tmp_path, blocks(), "ort_static")).artefact.path
    )
    facts = inspect(file)
    assert {
        module.name: (module.compute, module.bits) for module in facts.modules or ()
    } == dict.fromkeys(("front", "block/deep", "block/point", "head"), ("int8", 8))
    assert facts.macs == model_facts(blocks()).macs
    loaded = _loaded(file.read_bytes(), file.parent)
    assert loaded["QLinearConv"] == 3
    assert loaded["QLinearAdd"] == 1
    assert loaded["QGemm"] == 1
    assert loaded["ReduceMean"] == 1


def test_an_integer_model_as_the_runtime_writes_it(tmp_path: Path) -> None:
    file = (
        load_method("ort_static").quantize(onnx_job(tmp_path, blocks(), "ort_static")).artefact.path
    )
    _loaded(file.read_bytes(), file.parent)
    facts = inspect(file.parent / "loaded.onnx")
    assert [op.op for op in facts.float_ops or ()] == ["ReduceMean"]
    assert facts.int8_mac_fraction == 1.0
    assert {module.compute for module in facts.modules or ()} == {"int8"}


def test_int8_weights_on_float_activations_are_no_int8_arithmetic() -> None:
    made = blocks()
    (tensor,) = (t for t in made.graph.initializer if t.name == "w4")
    tensor.CopyFrom(numpy_helper.from_array(np.ones((5, 8), np.int8), "w4q"))
    made.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "w4s"))
    made.graph.node.insert(0, helper.make_node("DequantizeLinear", ["w4q", "w4s"], ["w4"]))
    facts = model_facts(made)
    (head,) = (module for module in facts.modules or () if module.name == "head")
    assert (head.compute, head.bits, head.bytes) == ("int8 weights", 8, 40 + 20)
    assert "head" in {op.layer for op in facts.float_ops or ()}
    assert facts.int8_mac_fraction == 0.0


def test_what_lies_inside_an_if_is_counted_and_named() -> None:
    layers = [op.layer for op in model_facts(branching()).float_ops or ()]
    assert layers[-2:] == ["choose/then_mul", "choose/else_mul"]


def test_integer_operators_without_floats_are_not_float() -> None:
    made = model(
        [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Transpose", ["y"], ["z"])],
        [info("x", (2, 2), TensorProto.INT64)],
        [info("z", (2, 2), TensorProto.INT64)],
    )
    facts = model_facts(made)
    assert facts.float_ops == ()
    assert facts.transposes == 1
    assert facts.input_dtypes == ("int64",)


def test_no_onnx_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x00\x01garbage")
    with pytest.raises(SourceError, match=r"model\.onnx"):
        inspect(file)
