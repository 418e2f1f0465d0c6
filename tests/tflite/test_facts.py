"""What reports and checks quote about a graph."""

from __future__ import annotations

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.facts import graph_facts
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.tflite import graphs

CONV_MACS = (4 * 4 * models.FILTERS) * (3 * 3 * 3)
FC_MACS = models.CLASSES * 4 * 4 * models.FILTERS


def test_a_float_model() -> None:
    facts = graph_facts(parse_graph(models.float_model()))
    assert [str(op) for op in facts.float_ops] == [
        "CONV_2D at hidden",
        "FULLY_CONNECTED at serving_scores",
    ]
    assert (facts.input_dtypes, facts.output_dtypes) == (("float32",), ("float32",))
    assert (facts.ops, facts.transposes) == (2, 0)
    assert (facts.macs, facts.int8_mac_fraction) == (CONV_MACS + FC_MACS, 0.0)


def test_a_full_integer_model() -> None:
    facts = graph_facts(parse_graph(models.int8_model()))
    assert facts.float_ops == ()
    assert (facts.input_dtypes, facts.output_dtypes) == (("int8",), ("int8",))
    assert facts.int8_mac_fraction == 1.0


def _half_integer() -> bytes:
    """Float in, QUANTIZE, INT8 convolution, DEQUANTIZE, float fully connected."""
    w = models.weights()
    whole = models.int8_graph(w)
    graph = models.Graph(whole.tensors[:4], whole.operators[:1], whole.buffers[:4])
    x = graph.tensor("x", models.INPUT_SHAPE)
    real = graph.tensor("real", (1, 4, 4, models.FILTERS))
    matrix = graph.tensor("matrix", w.matrix.shape, data=w.matrix)
    y = graph.tensor("y", (1, models.CLASSES))
    graph.operator("QUANTIZE", [x], [0])
    graph.operators.reverse()
    graph.operator("DEQUANTIZE", [3], [real])
    graph.operator("FULLY_CONNECTED", [real, matrix], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    return models.write([graph], {"s": 0})


def test_between_quantize_and_dequantize_is_integer() -> None:
    facts = graph_facts(parse_graph(_half_integer()))
    assert [str(op) for op in facts.float_ops] == ["FULLY_CONNECTED at y"]
    assert facts.int8_mac_fraction == CONV_MACS / (CONV_MACS + FC_MACS)


def test_a_dynamic_range_operator_is_float() -> None:
    w = models.weights()
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 32)), graph.tensor("y", (1, 5))
    scale = float(np.abs(w.matrix).max() / 127)
    stored = np.round(w.matrix / scale)
    matrix = graph.tensor("matrix", (5, 32), "int8", stored, models.Quant((scale,), (0,)))
    graph.operator("FULLY_CONNECTED", [x, matrix], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    facts = graph_facts(parse_graph(models.write([graph], {"s": 0})))
    assert [op.op for op in facts.float_ops] == ["FULLY_CONNECTED"]
    assert facts.int8_mac_fraction == 0.0


def test_transposes_are_counted_and_integer_bookkeeping_is_not_float() -> None:
    graph = models.Graph()
    x, y, z = graph.tensor("x", (1, 2, 3)), graph.tensor("y", (1, 3, 2)), graph.tensor("z", (3,))
    order = graph.tensor("order", (3,), "int32", np.array([0, 2, 1]))
    shape = graph.tensor("shape", (3,), "int32")
    graph.operator("TRANSPOSE", [x, order], [y], table="TransposeOptions")
    graph.operator("GATHER", [order, order], [shape], table="GatherOptions")
    graph.operator("CAST", [shape], [z], table="CastOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y, "z": z}
    facts = graph_facts(parse_graph(models.write([graph], {"s": 0})))
    assert facts.transposes == 1
    assert [op.op for op in facts.float_ops] == ["TRANSPOSE", "CAST"]
    assert facts.int8_mac_fraction == 0.0  # and no division by zero


def test_a_float_activation_between_integer_ends_is_named_by_its_layer() -> None:
    facts = graph_facts(parse_graph(graphs.activated("HARD_SWISH")))
    assert [str(op) for op in facts.float_ops][1] == "HARD_SWISH at act"


def _with_custom(name: str) -> bytes:
    """The float network, whose last operator is the custom one called ``name``."""
    model = flatbuffer.unpack(models.float_model())
    schema = flatbuffer.schema()
    code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = name.encode()
    model.subgraphs[0].operators[1].builtinOptionsType = 0
    model.subgraphs[0].operators[1].builtinOptions = None
    return flatbuffer.pack(model)


def test_operators_of_tensorflow_itself_are_told_from_other_custom_ones() -> None:
    flex = graph_facts(parse_graph(_with_custom("FlexErf")))
    assert [str(op) for op in flex.select_tf_ops] == ["FlexErf at serving_scores"]
    assert [op.op for op in flex.float_ops or ()] == ["CONV_2D", "FlexErf"]
    own = graph_facts(parse_graph(_with_custom("MyErf")))
    assert own.select_tf_ops == ()
    assert [op.op for op in own.float_ops or ()] == ["CONV_2D", "MyErf"]


def _branching() -> bytes:
    """Two networks in one file, the first of which calls the second where it computed itself."""
    model = flatbuffer.unpack(models.two_signature_model())
    schema = flatbuffer.schema()
    call = model.subgraphs[0].operators[1]
    call.opcodeIndex = flatbuffer.add_operator_code(model, schema.BuiltinOperator.IF)
    call.builtinOptionsType = schema.BuiltinOptions.IfOptions
    call.builtinOptions = schema.IfOptionsT()
    call.builtinOptions.thenSubgraphIndex = call.builtinOptions.elseSubgraphIndex = 1
    return flatbuffer.pack(model)


def test_a_subgraph_counts_where_it_is_called() -> None:
    apart = graph_facts(parse_graph(models.two_signature_model()))
    assert (apart.ops, apart.macs) == (2, CONV_MACS + FC_MACS)
    facts = graph_facts(parse_graph(_branching()))
    assert (facts.ops, facts.macs) == (4, CONV_MACS + CONV_MACS + FC_MACS)
    assert [str(op) for op in facts.float_ops or ()] == [
        "CONV_2D at hidden",
        "IF at serving_scores",
        "CONV_2D at graph1/hidden",
        "FULLY_CONNECTED at graph1/serving_scores",
    ]
