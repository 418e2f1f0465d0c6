"""What a ``.pt2`` really is, read from its graph: which modules compute on integers, and how.

Quantized programs come in two forms. PT2E leaves float operators between dequantize and quantize,
which a backend fuses; an operator counts as INT8 where it could be. torchao's dynamic form
multiplies the integers itself (``aten._int_mm``). Imports torch; it is imported to inspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch.fx import Graph, Node

from edgekit.pytorch.program_nodes import (
    INTEGERS,
    PASSING,
    computes,
    constants_of,
    dtype_of,
    has_unknown_shape,
    is_dequantize,
    is_floating,
    is_quantize,
    op_name,
    past_passing,
    rank_of,
    read_by,
    shape_of,
    size_bytes,
    stored_as_integers,
    weights_of,
)
from edgekit.pytorch.pt2e_graph import module_path, module_type
from edgekit.runtimes.torch_export import load_program
from edgekit.types import ArtefactFacts, FloatOp, ModuleFact, OperatorCompute

Compute = Literal["int8", "int8 dynamic", "int8 weights", "float"]
# Weakest first: a module that computes in two ways is what its weaker way makes it.
_ORDER: tuple[Compute, ...] = ("float", "int8 weights", "int8 dynamic", "int8")
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "convolution"})
_TRANSPOSED = frozenset({"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
_PRODUCTS = frozenset({"linear", "addmm", "mm", "_int_mm", "matmul", "bmm"})
_RECURRENT = frozenset({
    "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell",
    "rnn_relu_cell",
})  # fmt: skip
# With a constant they scale or shift: a module is what its other operators are, if it has any.
_ARITHMETIC = frozenset({"add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_"})
# Kernels add a second operand to what a convolution or product has accumulated.
_ADDS = frozenset({"add", "add_"})
_TRANSPOSES = frozenset({"permute", "transpose", "t"})


def inspect(file: Path) -> ArtefactFacts:
    """The facts of a ``.pt2`` that edgekit wrote, float or quantized.

    Raises:
        SessionError: it cannot be read as one.
    """
    program, description = load_program(file)
    return program_facts(program, description.kept_float)


def program_facts(
    program: torch.export.ExportedProgram, kept_float: Mapping[str, str]
) -> ArtefactFacts:
    """The facts of a program; ``kept_float`` gives reasons by module name."""
    signature = program.graph_signature
    stored = {**program.state_dict, **program.constants}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    tensors = {name: stored[target] for name, target in targets.items() if target in stored}
    return graph_facts(program.graph, kept_float, tensors)


def graph_facts(
    graph: Graph,
    kept_float: Mapping[str, str],
    tensors: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> ArtefactFacts:
    """The facts of an exported graph; ``kept_float`` gives reasons by module name, ``tensors`` what
    is stored by the name of its placeholder. Without these no module's bits are known."""
    constants = constants_of(graph)
    nodes = [node for node in graph.nodes if computes(node) and node not in constants]
    macs = {node: multiply_accumulates(node, constants) for node in nodes}
    int8 = {node for node in nodes if _compute(node, constants) in ("int8", "int8 dynamic")}
    total = None if any(map(has_unknown_shape, nodes)) else sum(macs.values())
    return ArtefactFacts(
        input_dtypes=tuple(
            dtype_of(node)
            for node in graph.nodes
            if node.op == "placeholder" and node not in constants
        ),
        output_dtypes=tuple(
            dtype_of(end)
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
        transposes=sum(op_name(node) in _TRANSPOSES for node in nodes),
        macs=total,
        int8_mac_fraction=(
            None if total is None else sum(macs[node] for node in int8) / total if total else 0.0
        ),
        modules=tuple(_modules(nodes, constants, kept_float, tensors)),
    )


def _modules(
    nodes: Iterable[Node],
    constants: frozenset[Node],
    reasons: Mapping[str, str],
    tensors: Mapping[str, torch.Tensor],
) -> Iterator[ModuleFact]:
    """Modules with weights of two axes or more, in the order they are called; then those that have
    a reason to be float and no operator."""
    weighted: dict[str, list[Node]] = {}
    held: dict[str, set[Node]] = {}
    for node in nodes:
        name = module_path(node) or node.name
        held.setdefault(name, set()).update(read_by(node, constants))
        if weights_of(node, constants) and not _is_scale_lookup(node):
            weighted.setdefault(name, []).append(node)
    for name, found in weighted.items():
        decisive = [node for node in found if op_name(node) not in _ARITHMETIC] or found
        weakest = min((_compute(node, constants) for node in decisive), key=_ORDER.index)
        yield ModuleFact(
            name=name,
            type=module_type(found[0]),
            compute=weakest,
            bytes=sum(map(size_bytes, held[name])),
            why=reasons.get(name) if weakest == "float" else None,
            bits=None if weakest == "float" else _bits(held[name], tensors),
        )
    for name, why in reasons.items():
        if name not in weighted:
            left = sum(map(size_bytes, held.get(name, ())))
            yield ModuleFact(name=name, type="", compute="float", bytes=left, why=why)


def _bits(sources: Iterable[Node], tensors: Mapping[str, torch.Tensor]) -> int | None:
    """Bits that the largest of the stored codes needs; a byte may hold fewer than eight."""
    found = []
    for source in sources:
        codes = tensors.get(source.name)
        if rank_of(source) > 1 and dtype_of(source) in INTEGERS and codes is not None:
            largest = int(codes.to(torch.int32).abs().max())
            signed = codes.dtype != torch.uint8
            # Codes are symmetric but for -128, which is one of eight bits.
            found.append(min(largest.bit_length() + signed, 8 * codes.element_size()))
    return max(found, default=None)


def _compute(node: Node, constants: frozenset[Node]) -> Compute:
    """How an operator computes that has weights; any other is ``float``."""
    weights = weights_of(node, constants)
    if not weights or not all(stored_as_integers(weight) for weight in weights):
        return "float"
    activations = [arg for arg in node.all_input_nodes if arg not in constants]
    if op_name(node) == "embedding" or not activations:
        return "int8 weights"
    kind = _quantized(activations[0], constants)
    return kind or "int8 weights"


def compute_of(node: Node, constants: frozenset[Node]) -> OperatorCompute:
    """How any operator computes, with weights or without."""
    if is_quantize(node) or is_dequantize(node):
        return "conversion"
    if _is_weighted(node, constants):
        return _compute(node, constants)
    if _is_float_op(node, constants):
        return "float"
    touched = (node, *(arg for arg in node.all_input_nodes if arg not in constants))
    return (
        "int8"
        if any(is_floating(each) or dtype_of(each) in INTEGERS for each in touched)
        else "integer"
    )


def _quantized(node: Node, constants: frozenset[Node]) -> Literal["int8", "int8 dynamic"] | None:
    """Whether ``node`` holds values that were quantized, and whether by a range of their own."""
    node = past_passing(node)
    if is_dequantize(node):
        return _quantized(node.all_input_nodes[0], constants)
    if not is_quantize(node):
        # A graph whose input or operator is integer itself.
        return "int8" if dtype_of(node) in INTEGERS else None
    scales = [arg for arg in node.all_input_nodes[1:] if arg not in constants]
    return "int8 dynamic" if scales else "int8"


def _is_float_op(node: Node, constants: frozenset[Node]) -> bool:
    """Whether it computes on float activations that no quantization encloses."""
    if not is_floating(node):
        return False
    if _is_weighted(node, constants):
        return _compute(node, constants) in ("float", "int8 weights")
    inputs = [arg for arg in node.all_input_nodes if arg not in constants and is_floating(arg)]
    if op_name(node) in PASSING:
        return any(not _enclosed(arg, constants) for arg in inputs)
    if op_name(node) in _ADDS:
        enclosed = all(_enclosed(arg, constants) for arg in inputs)
    else:
        enclosed = all(is_dequantize(past_passing(arg)) for arg in inputs)
    return not enclosed or not _all_quantized(node)


def _enclosed(node: Node, constants: frozenset[Node]) -> bool:
    """Whether its values come out of integers, or of an INT8 operator that fuses what follows."""
    node = past_passing(node)
    if is_dequantize(node):
        return True
    if op_name(node) in _PRODUCTS or _is_weighted(node, constants):
        return _compute(node, constants) == "int8"
    inputs = [arg for arg in node.all_input_nodes if arg not in constants]
    if op_name(node) in _ADDS:
        return all(_enclosed(arg, constants) for arg in inputs)
    return bool(inputs) and all(is_dequantize(past_passing(arg)) for arg in inputs)


def _all_quantized(node: Node) -> bool:
    """Whether every use of its value ends in a quantize operator."""
    return bool(node.users) and all(
        is_quantize(user) or (op_name(user) in PASSING and _all_quantized(user))
        for user in node.users
    )


def _is_weighted(node: Node, constants: frozenset[Node]) -> bool:
    return op_name(node) not in _ARITHMETIC and bool(weights_of(node, constants))


def _is_scale_lookup(node: Node) -> bool:
    """An int8 table has its scales looked up beside it, by the same indices."""
    others = [user for arg in node.all_input_nodes for user in arg.users if user is not node]
    return (
        op_name(node) == "embedding"
        and is_floating(node)
        and any(op_name(other) == "embedding" and not is_floating(other) for other in others)
    )


def multiply_accumulates(node: Node, constants: frozenset[Node]) -> int:
    """Multiply-accumulates of one call; lookups have none."""
    op = op_name(node)
    shapes = [shape_of(arg) for arg in node.args if isinstance(arg, Node)]
    if op in _TRANSPOSED or (op == "convolution" and node.args[6]):
        # It spreads every input value, a plain one gathers every output.
        return prod(shapes[0]) * prod(shapes[1][1:])
    if op in _CONVOLUTIONS:
        return prod(shape_of(node)) * prod(shapes[1][1:])
    if op == "bilinear":
        return prod(shape_of(node)) * prod(shapes[2][1:])
    if op == "linear":
        return prod(shape_of(node)) * shapes[0][-1]
    if op == "addmm":
        return prod(shape_of(node)) * shapes[1][-1]
    if op in _PRODUCTS:
        return prod(shape_of(node)) * shapes[0][-1]
    if op == "scaled_dot_product_attention":
        query, keys, values = shapes[:3]
        return prod(query[:-1]) * keys[-2] * (query[-1] + values[-1])
    if op in _RECURRENT:
        weights = sum(prod(shape_of(weight)) for weight in weights_of(node, constants))
        return prod(shapes[0][:-1]) * weights
    return 0
