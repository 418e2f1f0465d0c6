"""What the nodes of an exported graph are: quantize operators, constants, and what reads them.

Imports torch; it is imported to inspect.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from edgekit.pytorch.pt2e_graph import is_stored

INTEGERS = ("int8", "uint8", "int16")
# They move values or clip them, on integers as well as on floats.
PASSING = frozenset({
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "dropout",
    "dropout_", "view", "reshape", "flatten", "permute", "transpose", "t", "contiguous", "clone",
    "alias", "squeeze", "unsqueeze", "slice", "select", "expand", "to", "_to_copy", "getitem",
    "split", "chunk", "unbind",
})  # fmt: skip
# In eval mode; dropout does nothing then.
_NOTHING = frozenset({"_assert_tensor_metadata", "getitem", "sym_size", "dropout", "dropout_"})
# They join what they are given.
_JOINS = frozenset({"cat", "stack"})


def past_passing(node: Node) -> Node:
    while op_name(node) in PASSING and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def weights_of(node: Node, constants: frozenset[Node]) -> list[Node]:
    """The constant numbers of two axes or more that it computes with; indices are none."""
    if op_name(node) in PASSING | _JOINS:
        return []
    return [
        arg
        for arg in node.all_input_nodes
        if arg in constants and rank_of(arg) > 1 and (is_floating(arg) or dtype_of(arg) in INTEGERS)
    ]


def stored_as_integers(node: Node) -> bool:
    """Whether a constant operand is, or is made of, a tensor of integers with two axes or more."""
    return any(dtype_of(source) in INTEGERS and rank_of(source) > 1 for source in sources_of(node))


def read_by(node: Node, constants: frozenset[Node]) -> set[Node]:
    """The stored tensors that ``node`` reads, through whatever is made of constants only."""
    return {
        source for arg in node.all_input_nodes if arg in constants for source in sources_of(arg)
    }


def sources_of(node: Node) -> set[Node]:
    if node.op != "call_function":
        return {node}
    return {s for arg in node.all_input_nodes for s in sources_of(arg)}


def constants_of(graph: Graph) -> frozenset[Node]:
    """The stored tensors, and the operators that work on nothing else.

    A lookup is none of them: a table of positions is read at fixed indices.
    """
    found: set[Node] = set()
    for node in graph.nodes:
        inputs = node.all_input_nodes
        derived = inputs and op_name(node) != "embedding" and all(arg in found for arg in inputs)
        if is_stored(node) or derived:
            found.add(node)
    return frozenset(node for node in found if node.op != "output")


def computes(node: Node) -> bool:
    return (
        node.op == "call_function"
        and not is_quantize(node)
        and not is_dequantize(node)
        and "choose_qparams" not in str(node.target)
        and op_name(node) not in _NOTHING
    )


def is_quantize(node: Node) -> bool:
    return node.op == "call_function" and ".quantize_" in str(node.target)


def is_dequantize(node: Node) -> bool:
    return node.op == "call_function" and ".dequantize_" in str(node.target)


def op_name(node: Node) -> str:
    """``conv2d`` of ``aten.conv2d.default``."""
    if node.op != "call_function":
        return ""
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 2 else getattr(node.target, "__name__", str(node.target))


def _value(node: Node) -> Any:
    """Of several, the first."""
    value = node.meta.get("val")
    return value[0] if isinstance(value, list | tuple) and value else value


def dtype_of(node: Node) -> str:
    value = _value(node)
    return str(value.dtype).removeprefix("torch.") if hasattr(value, "dtype") else ""


def is_floating(node: Node) -> bool:
    return "float" in dtype_of(node)


def shape_of(node: Node) -> tuple[int, ...]:
    """A size that no graph can know, as that of ``x[x > 0]``, is 0."""
    return tuple(size if isinstance(size, int) else 0 for size in _sizes(node))


def has_unknown_shape(node: Node) -> bool:
    return not all(isinstance(size, int) for size in _sizes(node))


def _sizes(node: Node) -> tuple[Any, ...]:
    return tuple(getattr(_value(node), "shape", ()))


def rank_of(node: Node) -> int:
    return len(shape_of(node))


def size_bytes(node: Node) -> int:
    value = _value(node)
    return value.numel() * value.element_size() if hasattr(value, "numel") else 0
