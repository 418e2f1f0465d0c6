"""Everything a ``.pt2`` says of itself: operators, ends, weights, what wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.fx import Node

from edgekit.pytorch.description import Description
from edgekit.pytorch.program_facts import compute_of, multiply_accumulates, program_facts
from edgekit.pytorch.program_nodes import (
    computes,
    constants_of,
    dtype_of,
    is_dequantize,
    is_quantize,
    op_name,
    past_passing,
    shape_of,
    weights_of,
)
from edgekit.pytorch.pt2e_graph import module_path
from edgekit.runtimes.torch_export import load_program
from edgekit.types import FileFacts, OperatorFact, TensorInfo


def read_file_facts(file: Path) -> FileFacts:
    """The facts of a ``.pt2`` that edgekit wrote.

    Raises:
        SessionError: it cannot be read as one.
        MissingError: torch, or a package whose operators it uses, is not installed.
    """
    program, description = load_program(file)
    graph = program.graph
    constants = constants_of(graph)
    fed = [node for node in graph.nodes if node.op == "placeholder" and node not in constants]
    given = [end for node in graph.nodes if node.op == "output" for end in node.all_input_nodes]
    stored = {**program.state_dict, **program.constants}
    return FileFacts(
        facts=program_facts(program, description.kept_float),
        inputs=tuple(_ends(fed, tuple(spec.name for spec in description.inputs))),
        outputs=tuple(_ends(given, description.outputs)),
        operators=tuple(
            _operator(node, constants)
            for node in graph.nodes
            if node not in constants
            and (computes(node) or is_quantize(node) or is_dequantize(node))
        ),
        weights_bytes=sum(
            tensor.numel() * tensor.element_size()
            for tensor in stored.values()
            if hasattr(tensor, "element_size")
        ),
        metadata=_metadata(description),
    )


def _ends(nodes: list[Node], names: tuple[str, ...]) -> Iterator[TensorInfo]:
    for number, node in enumerate(nodes):
        name = names[number] if number < len(names) else node.name
        sizes: Any = getattr(node.meta.get("val"), "shape", ())
        shape = tuple(size if isinstance(size, int) else -1 for size in sizes)
        yield TensorInfo(name, shape or shape_of(node), dtype_of(node))


def _operator(node: Node, constants: frozenset[Node]) -> OperatorFact:
    activations = [arg for arg in node.all_input_nodes if arg not in constants]
    held = dict.fromkeys(dtype_of(past_passing(w)) for w in weights_of(node, constants))
    factors = [", ".join(dict.fromkeys(filter(None, map(dtype_of, activations)))), *held]
    return OperatorFact(
        op=op_name(node),
        layer=module_path(node) or node.name,
        compute=compute_of(node, constants),
        dtypes=f"{' x '.join(filter(None, factors)) or 'nothing'} -> {dtype_of(node) or 'nothing'}",
        macs=multiply_accumulates(node, constants),
        reads=tuple(arg.name for arg in activations),
        writes=(node.name,),
    )


def _metadata(description: Description) -> dict[str, str]:
    """What wrote it, and what it needs."""
    written = ", ".join(f"{name} {version}" for name, version in description.tools.items())
    found = {"written with": written}
    if description.engine is not None:
        found["engine"] = description.engine
    if description.kept_float:
        found["kept float"] = ", ".join(description.kept_float)
    return found
