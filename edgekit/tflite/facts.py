"""What a TFLite file really is: which operators compute in float, how much of it is INT8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgekit.tflite.graph import Graph, Op, read_graph
from edgekit.types import ArtefactFacts, FloatOp

# They convert between float and integer and are judged by what lies between them.
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_FLOAT_TYPES = frozenset({"float32", "float16", "float64", "bfloat16"})
_INTEGER_COMPUTE = frozenset({"int8", "uint8", "int16"})
_FLEX = "Flex"


def inspect(file: Path) -> ArtefactFacts:
    """The facts of a ``.tflite`` file.

    Raises:
        SourceError: it cannot be read as one.
    """
    return graph_facts(read_graph(file))


def graph_facts(graph: Graph) -> ArtefactFacts:
    """Collect the facts of ``graph`` and of the subgraphs it calls; a loop's body counts once."""
    ops = list(_every_op(graph))
    macs = sum(op.macs for _, op in ops)
    int8_macs = sum(op.macs for owner, op in ops if _computes_in_int8(owner, op))
    return ArtefactFacts(
        input_dtypes=tuple(graph.tensors[i].dtype for i in graph.inputs),
        output_dtypes=tuple(graph.tensors[i].dtype for i in graph.outputs),
        ops=len(ops),
        float_ops=tuple(
            _named(graph, owner, op) for owner, op in ops if computes_in_float(owner, op)
        ),
        transposes=sum(op.name == "TRANSPOSE" for _, op in ops),
        macs=macs,
        int8_mac_fraction=int8_macs / macs if macs else 0.0,
        select_tf_ops=select_tf_ops(graph),
    )


def select_tf_ops(graph: Graph) -> tuple[FloatOp, ...]:
    """The operators that only TensorFlow's own kernels run, by the prefix the schema gives them."""
    return tuple(
        _named(graph, owner, op) for owner, op in _every_op(graph) if op.name.startswith(_FLEX)
    )


def _every_op(graph: Graph) -> Iterator[tuple[Graph, Op]]:
    return ((owner, op) for owner in (graph, *graph.inner) for op in owner.ops)


def _named(main: Graph, owner: Graph, op: Op) -> FloatOp:
    layer = owner.layer(op)
    return FloatOp(op.name, layer if owner is main else f"{owner.name}/{layer}")


def computes_in_float(graph: Graph, op: Op) -> bool:
    """Whether ``op`` reads or writes a float activation, conversions aside.

    A dynamic-range operator (int8 weights, float activations) counts as float: that is what a
    full-integer accelerator would reject.
    """
    if op.name in _CONVERSIONS:
        return False
    return any(tensor.dtype in _FLOAT_TYPES for tensor in graph.activations(op))


def _computes_in_int8(graph: Graph, op: Op) -> bool:
    """Whether INT8 weights meet integer activations, INT16 ones too: an INT16 product of two
    activations is integer, but no INT8."""
    activations = graph.activations(op)
    weights = [graph.tensors[i] for i in op.inputs[1:2] if i >= 0]
    return (
        bool(activations)
        and all(tensor.dtype in _INTEGER_COMPUTE for tensor in activations)
        and all(tensor.dtype == "int8" for tensor in weights)
    )
