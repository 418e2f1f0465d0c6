"""The operators of an ONNX graph, under names that a person can look up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators that hold graphs of their own."""

_ONNX_DOMAINS = ("", "ai.onnx")
_SHOWN = 5


@dataclass(frozen=True)
class Operator:
    """One node. ``domain`` is empty for ONNX's own; ``layer`` is the node's name, or that of its
    first output where it has none."""

    op: str
    domain: str
    layer: str

    def __str__(self) -> str:
        op = f"{self.domain}.{self.op}" if self.domain else self.op
        return f"{op} at {self.layer}"


def operators(model: Any) -> tuple[Operator, ...]:
    """Every node of the ``ModelProto``: its graph, the graphs inside it, and its functions."""
    found = [_operator(node) for node in nodes(model.graph.node)]
    for function in model.functions:
        found += [_operator(node) for node in nodes(function.node)]
    return tuple(found)


def nodes(top: Iterable[Any]) -> Iterator[Any]:
    """The ``NodeProto`` of ``top`` and of every graph they hold, each before those inside it."""
    for node in top:
        yield node
        for graph in subgraphs(node):
            yield from nodes(graph.node)


def subgraphs(node: Any) -> Iterator[Any]:
    """The ``GraphProto`` that a node holds: the branches of an If, the body of a Loop or Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def graphs(model: Any) -> Iterator[Any]:
    """The model's graph and every graph inside it."""
    yield model.graph
    for node in nodes(model.graph.node):
        yield from subgraphs(node)


def read_inside(model: Any) -> set[str]:
    """Names of tensors that graphs inside the model's graph read, or give as they are."""
    inner = [graph for node in model.graph.node for graph in subgraphs(node)]
    read = {name for graph in inner for node in nodes(graph.node) for name in node.input}
    given = {value.name for graph in list(graphs(model))[1:] for value in graph.output}
    return (read | given) - {""}


def listed(found: Iterable[object]) -> str:
    """The first few, and how many more there are."""
    texts = [str(each) for each in found]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _operator(node: Any) -> Operator:
    domain = "" if node.domain in _ONNX_DOMAINS else node.domain
    outputs = [name for name in node.output if name]
    return Operator(node.op_type, domain, node.name or (outputs[0] if outputs else "?"))
