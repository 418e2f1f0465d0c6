"""What a ``.pt2`` really is, read from its graph: which modules compute on integers, and how.

Quantized programs come in two forms. PT2E leaves float operators between dequantize and quantize,
which a backend fuses; an operator counts as INT8 where it could be. torchao's dynamic form
multiplies the integers itself (``aten._int_mm``). Imports torch; it is imported to inspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, Literal

from torch.fx import Graph, Node

from edgekit.pytorch.pt2e_graph import module_path, module_type
from edgekit.runtimes.torch_export import load_program
from edgekit.types import ArtefactFacts, FloatOp, ModuleFact

Compute = Literal["int8", "int8 dynamic", "int8 weights", "float"]
# Weakest first: a module that computes in two ways is what its weaker way makes it.
_ORDER: tuple[Compute, ...] = ("float", "int8 weights", "int8 dynamic", "int8")
_INTEGERS = ("int8", "uint8", "int16")

_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d"})
_PRODUCTS = frozenset({"linear", "addmm", "mm", "_int_mm", "matmul", "bmm"})
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_WEIGHTED = _CONVOLUTIONS | _PRODUCTS | _RECURRENT | {"embedding"}
# They move values or clip them, on integers as well as on floats.
_PASSING = frozenset({
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "dropout",
    "dropout_", "view", "reshape", "flatten", "permute", "transpose", "t", "contiguous", "clone",
    "alias", "squeeze", "unsqueeze", "slice", "select", "expand", "to", "_to_copy", "getitem",
    "split", "chunk", "unbind",
})  # fmt: skip
# In eval mode; dropout does nothing then.
_NOTHING = frozenset({"_assert_tensor_metadata", "getitem", "sym_size", "dropout", "dropout_"})
# Kernels add a second operand to what a convolution or product has accumulated.
_ADDS = frozenset({"add", "add_"})
_TRANSPOSES = frozenset({"permute", "transpose", "t"})


def inspect(file: Path) -> ArtefactFacts:
    """The facts of a ``.pt2`` that edgekit wrote, float or quantized.

    Raises:
        SessionError: it cannot be read as one.
    """
    program, description = load_program(file)
    return graph_facts(program.graph, description.kept_float)


def graph_facts(graph: Graph, kept_float: Mapping[str, str]) -> ArtefactFacts:
    """The facts of an exported graph; ``kept_float`` gives reasons by module name."""
    constants = _constants(graph)
    nodes = [node for node in graph.nodes if _computes(node) and node not in constants]
    macs = {node: _macs(node) for node in nodes}
    int8 = {node for node in nodes if _compute(node, constants) in ("int8", "int8 dynamic")}
    total = sum(macs.values())
    return ArtefactFacts(
        input_dtypes=tuple(
            _dtype(node)
            for node in graph.nodes
            if node.op == "placeholder" and node not in constants
        ),
        output_dtypes=tuple(
            _dtype(end)
            for node in graph.nodes
            if node.op == "output"
            for end in node.all_input_nodes
        ),
        ops=len(nodes),
        float_ops=tuple(
            FloatOp(str(node.target), module_path(node) or node.name)
            for node in nodes
            if _is_float_op(node, constants)
        ),
        transposes=sum(_op(node) in _TRANSPOSES for node in nodes),
        macs=total,
        int8_mac_fraction=sum(macs[node] for node in int8) / total if total else 0.0,
        modules=tuple(_modules(nodes, constants, kept_float)),
    )


def _modules(
    nodes: Iterable[Node], constants: frozenset[Node], reasons: Mapping[str, str]
) -> Iterator[ModuleFact]:
    """Modules with weights of two axes or more, in the order they are called."""
    computes: dict[str, list[Compute]] = {}
    types: dict[str, str] = {}
    tensors: dict[str, dict[Node, int]] = {}
    for node in nodes:
        name = module_path(node) or node.name
        held = {source: _bytes(source) for source in _sources(node, constants)}
        tensors.setdefault(name, {}).update(held)
        if _op(node) in _WEIGHTED and _weights(node, constants) and not _is_scale_lookup(node):
            computes.setdefault(name, []).append(_compute(node, constants))
            types.setdefault(name, module_type(node))
    for name, found in computes.items():
        weakest = min(found, key=_ORDER.index)
        yield ModuleFact(
            name=name,
            type=types[name],
            compute=weakest,
            bytes=sum(tensors[name].values()),
            why=reasons.get(name) if weakest == "float" else None,
        )


def _compute(node: Node, constants: frozenset[Node]) -> Compute:
    """How an operator computes that has weights; any other is ``float``."""
    weights = _weights(node, constants) if _op(node) in _WEIGHTED else []
    if not weights or not all(_stored_as_integers(weight) for weight in weights):
        return "float"
    activations = [arg for arg in node.all_input_nodes if arg not in constants]
    if _op(node) == "embedding" or not activations:
        return "int8 weights"
    kind = _quantized(activations[0], constants)
    return kind or "int8 weights"


def _quantized(node: Node, constants: frozenset[Node]) -> Literal["int8", "int8 dynamic"] | None:
    """Whether ``node`` holds values that were quantized, and whether by a range of their own."""
    node = _past_passing(node)
    if _is_dequantize(node):
        return _quantized(node.all_input_nodes[0], constants)
    if not _is_quantize(node):
        # A graph whose input or operator is integer itself.
        return "int8" if _dtype(node) in _INTEGERS else None
    scales = [arg for arg in node.all_input_nodes[1:] if arg not in constants]
    return "int8 dynamic" if scales else "int8"


def _is_float_op(node: Node, constants: frozenset[Node]) -> bool:
    """Whether it computes on float activations that no quantization encloses."""
    if not _is_floating(node):
        return False
    if _op(node) in _WEIGHTED and _weights(node, constants):
        return _compute(node, constants) in ("float", "int8 weights")
    inputs = [arg for arg in node.all_input_nodes if arg not in constants and _is_floating(arg)]
    if _op(node) in _PASSING:
        return any(not _enclosed(arg, constants) for arg in inputs)
    if _op(node) in _ADDS:
        enclosed = all(_enclosed(arg, constants) for arg in inputs)
    else:
        enclosed = all(_is_dequantize(_past_passing(arg)) for arg in inputs)
    return not enclosed or not _all_quantized(node)


def _enclosed(node: Node, constants: frozenset[Node]) -> bool:
    """Whether its values come out of integers, or of an INT8 operator that fuses what follows."""
    node = _past_passing(node)
    if _is_dequantize(node):
        return True
    if _op(node) in _WEIGHTED:
        return _compute(node, constants) == "int8"
    inputs = [arg for arg in node.all_input_nodes if arg not in constants]
    if _op(node) in _ADDS:
        return all(_enclosed(arg, constants) for arg in inputs)
    return bool(inputs) and all(_is_dequantize(_past_passing(arg)) for arg in inputs)


def _past_passing(node: Node) -> Node:
    while _op(node) in _PASSING and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _all_quantized(node: Node) -> bool:
    """Whether every use of its value ends in a quantize operator."""
    return bool(node.users) and all(
        _is_quantize(user) or (_op(user) in _PASSING and _all_quantized(user))
        for user in node.users
    )


def _weights(node: Node, constants: frozenset[Node]) -> list[Node]:
    """Its constant operands of two axes or more."""
    return [arg for arg in node.all_input_nodes if arg in constants and _rank(arg) > 1]


def _stored_as_integers(node: Node) -> bool:
    """Whether a constant operand is, or is made of, a tensor of integers with two axes or more."""
    return any(_dtype(source) in _INTEGERS and _rank(source) > 1 for source in _sources_of(node))


def _is_scale_lookup(node: Node) -> bool:
    """An int8 table has its scales looked up beside it, by the same indices."""
    others = [user for arg in node.all_input_nodes for user in arg.users if user is not node]
    return (
        _op(node) == "embedding"
        and _is_floating(node)
        and any(_op(other) == "embedding" and not _is_floating(other) for other in others)
    )


def _sources(node: Node, constants: frozenset[Node]) -> set[Node]:
    """The stored tensors that ``node`` reads, through whatever is made of constants only."""
    return {
        source for arg in node.all_input_nodes if arg in constants for source in _sources_of(arg)
    }


def _sources_of(node: Node) -> set[Node]:
    if node.op != "call_function":
        return {node}
    return {s for arg in node.all_input_nodes for s in _sources_of(arg)}


def _macs(node: Node) -> int:
    """Multiply-accumulates of one call; lookups have none."""
    op = _op(node)
    shapes = [_shape(arg) for arg in node.args if isinstance(arg, Node)]
    if op in _CONVOLUTIONS:
        weight = shapes[1]
        # A transposed convolution spreads every input value, a plain one gathers every output.
        base = shapes[0] if "transpose" in op else _shape(node)
        return prod(base) * prod(weight[1:])
    if op == "linear":
        return prod(_shape(node)) * shapes[0][-1]
    if op == "addmm":
        return prod(_shape(node)) * shapes[1][-1]
    if op in _PRODUCTS:
        return prod(_shape(node)) * shapes[0][-1]
    if op == "scaled_dot_product_attention":
        query, keys, values = shapes[:3]
        return prod(query[:-1]) * keys[-2] * (query[-1] + values[-1])
    if op in _RECURRENT:
        steps = prod(shapes[0][:-1])
        weights = [arg for arg in node.all_input_nodes if _rank(arg) == 2]
        return steps * sum(prod(_shape(weight)) for weight in weights)
    return 0


def _constants(graph: Graph) -> frozenset[Node]:
    """The stored tensors, and the operators that work on nothing else.

    ``torch.export`` calls parameters, buffers and other constants ``p_``, ``b_`` and ``c_``.
    """
    found: set[Node] = set()
    for node in graph.nodes:
        stored = node.op == "placeholder" and str(node.target).startswith(("p_", "b_", "c_"))
        inputs = node.all_input_nodes
        if stored or node.op == "get_attr" or (inputs and all(arg in found for arg in inputs)):
            found.add(node)
    return frozenset(node for node in found if node.op != "output")


def _computes(node: Node) -> bool:
    return (
        node.op == "call_function"
        and not _is_quantize(node)
        and not _is_dequantize(node)
        and "choose_qparams" not in str(node.target)
        and _op(node) not in _NOTHING
    )


def _is_quantize(node: Node) -> bool:
    return node.op == "call_function" and ".quantize_" in str(node.target)


def _is_dequantize(node: Node) -> bool:
    return node.op == "call_function" and ".dequantize_" in str(node.target)


def _op(node: Node) -> str:
    """``conv2d`` of ``aten.conv2d.default``."""
    if node.op != "call_function":
        return ""
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 2 else getattr(node.target, "__name__", str(node.target))


def _value(node: Node) -> Any:
    return node.meta.get("val")


def _dtype(node: Node) -> str:
    value = _value(node)
    return str(value.dtype).removeprefix("torch.") if hasattr(value, "dtype") else ""


def _is_floating(node: Node) -> bool:
    return "float" in _dtype(node)


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(int(size) for size in getattr(_value(node), "shape", ()))


def _rank(node: Node) -> int:
    return len(_shape(node))


def _bytes(node: Node) -> int:
    value = _value(node)
    return value.numel() * value.element_size() if hasattr(value, "numel") else 0
