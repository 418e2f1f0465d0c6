"""What a TFLite file really is: which operators compute in float, how much of it is INT8."""

from __future__ import annotations

from pathlib import Path

from edgekit.tflite.graph import Graph, Op, read_graph
from edgekit.types import ArtefactFacts, FloatOp

# They convert between float and integer and are judged by what lies between them.
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_FLOAT_TYPES = frozenset({"float32", "float16", "float64", "bfloat16"})
_INTEGER_COMPUTE = frozenset({"int8", "uint8", "int16"})


def inspect(file: Path) -> ArtefactFacts:
    """The facts of a ``.tflite`` file.

    Raises:
        SourceError: it cannot be read as one.
    """
    return graph_facts(read_graph(file))


def graph_facts(graph: Graph) -> ArtefactFacts:
    """Collect the facts of ``graph``."""
    macs = sum(op.macs for op in graph.ops)
    int8_macs = sum(op.macs for op in graph.ops if _computes_in_int8(graph, op))
    return ArtefactFacts(
        input_dtypes=tuple(graph.tensors[i].dtype for i in graph.inputs),
        output_dtypes=tuple(graph.tensors[i].dtype for i in graph.outputs),
        ops=len(graph.ops),
        float_ops=tuple(
            FloatOp(op.name, graph.layer(op)) for op in graph.ops if computes_in_float(graph, op)
        ),
        transposes=sum(op.name == "TRANSPOSE" for op in graph.ops),
        macs=macs,
        int8_mac_fraction=int8_macs / macs if macs else 0.0,
    )


def computes_in_float(graph: Graph, op: Op) -> bool:
    """Whether ``op`` reads or writes a float activation, conversions aside.

    A dynamic-range operator (int8 weights, float activations) counts as float: that is what a
    full-integer accelerator would reject.
    """
    if op.name in _CONVERSIONS:
        return False
    return any(tensor.dtype in _FLOAT_TYPES for tensor in graph.activations(op))


def _computes_in_int8(graph: Graph, op: Op) -> bool:
    activations = graph.activations(op)
    weights = [graph.tensors[i] for i in op.inputs[1:2] if i >= 0]
    return (
        bool(activations)
        and all(tensor.dtype in _INTEGER_COMPUTE for tensor in activations)
        and all(tensor.dtype == "int8" for tensor in weights)
    )
