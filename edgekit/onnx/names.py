"""Names in an ONNX graph: of its inputs and outputs, of its layers; and what exporters leave in it.

The twin of ``edgekit.tflite.names``. A ``ModelProto`` is changed in place here: whoever calls has
just made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.onnx.ops import graphs, nodes, subgraphs

_INPUT = "input"


def name_ends(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Call the graph's inputs and outputs, in order, as given.

    Raises:
        ValueError: there are more or fewer than names.
    """
    graph = model.graph
    for what, ends, names in (("input", graph.input, inputs), ("output", graph.output, outputs)):
        if len(ends) != len(names):
            raise ValueError(
                f"{len(names)} {what} names ({', '.join(names)}) for {len(ends)} {what}s"
            )
    taken = _tensor_names(model) | {*inputs, *outputs}
    _part_outputs(model, taken)
    ends = [value.name for value in (*graph.input, *graph.output)]
    renamed = dict(zip(ends, (*inputs, *outputs), strict=True))
    for name in (*inputs, *outputs):
        if name not in renamed:  # something inside may be called so: it gives way
            renamed[name] = _unique(name, taken)
    rename_tensors(model, renamed)


def name_layers(model: Any, layer: Callable[[Any], str]) -> None:
    """Call every node of the main graph, and what it makes, by ``layer(node)``, numbered where that
    is taken; a node inside another by that one's name and its operator. Not for a model whose ends
    are named already."""
    taken = {value.name for value in (*model.graph.input, *model.graph.initializer)}
    taken |= {value.name for graph in graphs(model) for value in graph.initializer}
    nodes_taken = set[str]()
    renamed: dict[str, str] = {}

    def name(graph: Any, prefix: str) -> None:
        for node in graph.node:
            node.name = _unique(f"{prefix}/{node.op_type}" if prefix else layer(node), nodes_taken)
            for output in filter(None, node.output):
                renamed[output] = _unique(node.name, taken)
            for inner in subgraphs(node):
                for value in inner.input:
                    renamed[value.name] = _unique(f"{node.name}/{_INPUT}", taken)
                inner.name = node.name
                name(inner, node.name)

    name(model.graph, "")
    rename_tensors(model, renamed)


def name_constants(model: Any) -> None:
    """Call every initializer by the first node that reads it, and which of its inputs it is there.

    For names that say nothing, or another thing every time. After ``name_layers``.
    """
    constants = {tensor.name for graph in graphs(model) for tensor in graph.initializer}
    taken = _tensor_names(model) - constants
    renamed: dict[str, str] = {}
    for node in nodes(model.graph.node):
        for position, source in enumerate(node.input):
            if source in constants and source not in renamed:
                renamed[source] = _unique(f"{node.name}.{position}", taken)
    rename_tensors(model, renamed)


def rename_tensors(model: Any, renamed: Mapping[str, str]) -> None:
    """Give tensors of all graphs other names, all at once, so that two can change places."""
    for graph in graphs(model):
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = renamed.get(value.name, value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = renamed.get(sparse.values.name, sparse.values.name)
    for node in nodes(model.graph.node):
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]


def forget_origin(model: Any) -> None:
    """Take out what tells of the machine and the moment: stack traces, doc strings, metadata."""
    del model.metadata_props[:]
    model.doc_string = ""
    for graph in graphs(model):
        graph.doc_string = ""
        del graph.metadata_props[:]
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.doc_string = ""
            del value.metadata_props[:]
    bodies = (model.graph.node, *(function.node for function in model.functions))
    for node in (node for body in bodies for node in nodes(body)):
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            attribute.doc_string = ""
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]


def _part_outputs(model: Any, taken: set[str]) -> None:
    """An output that is an input, a constant or an earlier output gets a tensor of its own."""
    graph = model.graph
    ends = {value.name for value in (*graph.input, *graph.initializer)}
    for value in graph.output:
        if value.name in ends:
            own = _unique(value.name, taken)
            graph.node.add(op_type="Identity", name=own, input=[value.name], output=[own])
            value.name = own
        ends.add(value.name)


def _tensor_names(model: Any) -> set[str]:
    return {name for graph in graphs(model) for name in _names_in(graph)}


def _names_in(graph: Any) -> set[str]:
    """Of the tensors that stand in ``graph`` itself."""
    values = (*graph.input, *graph.output, *graph.initializer)
    made = (name for node in graph.node for name in (*node.input, *node.output))
    return {value.name for value in values} | {*made} - {""}


def _unique(base: str, taken: set[str]) -> str:
    """``base``, or ``base_2`` and so on; added to ``taken``."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
