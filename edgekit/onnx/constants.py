"""Constants in the form that the quantizers expect: one use, one meaning.

A ``ModelProto`` is changed in place here: whoever calls has just made it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

from edgekit.onnx.ops import graphs, nodes

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"})


def part_shared_weights(model: Any, *, copied: Collection[str] = ()) -> None:
    """Give a weight or a bias that operators read in different ways a copy for each way: its scale
    and its type follow from what it is to them. ``copied`` are operators that get one each in any
    case."""
    constants = float_constants(model)
    taken = tensor_names(model)
    weights = {
        name
        for node in model.graph.node
        if node.op_type in _WEIGHTED
        for name in node.input
        if name in constants
    }
    known: dict[str, dict[Hashable, str]] = {}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name not in weights:
                continue
            way: Hashable = _way(node, position)
            if node.op_type in copied:
                way = (way, node.name)
            ways = known.setdefault(name, {})
            if way not in ways:
                ways[way] = name if not ways else unique_name(f"{name}_copy", taken)
                if ways[way] != name:
                    copy = model.graph.initializer.add()
                    copy.CopyFrom(constants[name])
                    copy.name = ways[way]
            node.input[position] = ways[way]


def _way(node: Any, position: int) -> Hashable:
    if node.op_type not in _WEIGHTED:
        return "Gather" if node.op_type == "Gather" else ""
    integers = {each.name: each.i for each in node.attribute}
    # A convolution's group tells a depthwise one, whose sums are 32 bits wide.
    return node.op_type, position, integers.get("transB", 0), integers.get("group", 1)


def float_constants(model: Any) -> dict[str, Any]:
    """The float32 ``TensorProto`` of the main graph, by name."""
    return {each.name: each for each in model.graph.initializer if each.data_type == each.FLOAT}


def copy_into_inner_graphs(model: Any) -> None:
    """Give every graph inside another copies of the model's own constants that it reads: a tool may
    look for them in the graph itself alone."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    taken = tensor_names(model)
    for graph in list(graphs(model))[1:]:
        copies: dict[str, str] = {}
        own = {tensor.name for tensor in graph.initializer} | {each.name for each in graph.input}
        for node in graph.node:
            for position, name in enumerate(node.input):
                if name not in constants or name in own:
                    continue
                if name not in copies:
                    copies[name] = unique_name(f"{name}_inside", taken)
                    copy = graph.initializer.add()
                    copy.CopyFrom(constants[name])
                    copy.name = copies[name]
                node.input[position] = copies[name]
    drop_unread(model)


def drop_unread(model: Any) -> None:
    """Remove the constants that nothing reads."""
    read = {name for node in nodes(model.graph.node) for name in node.input}
    read |= {value.name for value in model.graph.output}
    kept = [each for each in model.graph.initializer if each.name in read]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def tensor_names(model: Any) -> set[str]:
    """Every tensor's name, those inside other graphs too."""
    found = {each.name for each in (*model.graph.input, *model.graph.initializer)}
    return found | {
        name for node in nodes(model.graph.node) for name in (*node.input, *node.output)
    }


def unique_name(base: str, taken: set[str]) -> str:
    """``base``, or with a number behind it; taken from then on."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
