"""One order for the nodes of an ONNX graph, whatever order its exporter happened upon.

An exporter that sorts nodes by names, which count what it made before, writes another file every
time. A ``ModelProto`` is changed in
place here, as in ``edgekit.onnx.names``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgekit.onnx.ops import graphs, nodes, subgraphs


def order_nodes(model: Any) -> None:
    """Sort the nodes and initializers of every graph as its outputs reach them: each node after
    what it reads, first input first. What no output needs is dropped."""
    # Inner graphs first: a graph's nodes are copied with what they hold.
    for graph in reversed(list(graphs(model))):
        _order(graph)


def _order(graph: Any) -> None:
    found = list(graph.node)
    maker = {name: index for index, node in enumerate(found) for name in node.output if name}
    needs = [[maker[name] for name in _reads(node) if name in maker] for node in found]
    order: list[int] = []
    seen: set[int] = set()
    for value in graph.output:
        if value.name in maker:
            _visit(maker[value.name], needs, seen, order)
    ordered = [type(found[index]).FromString(found[index].SerializeToString()) for index in order]
    constants = {tensor.name: tensor.SerializeToString() for tensor in graph.initializer}
    read = [name for node in ordered for name in _reads(node)]
    read += [value.name for value in graph.output]
    kept = [constants[name] for name in dict.fromkeys(read) if name in constants]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(ordered)
    for data in kept:
        graph.initializer.add().ParseFromString(data)


def _visit(start: int, needs: list[list[int]], seen: set[int], order: list[int]) -> None:
    """Depth first, without recursion: a chain of layers may be longer than Python's stack."""
    waiting = [(start, False)]
    while waiting:
        index, done = waiting.pop()
        if done:
            order.append(index)
        elif index not in seen:
            seen.add(index)
            waiting.append((index, True))
            waiting.extend((need, False) for need in reversed(needs[index]))


def _reads(node: Any) -> Iterator[str]:
    """Names that ``node`` reads, and those that graphs inside it may take from around it."""
    for each in nodes([node]):
        yield from (name for name in each.input if name)
        for inner in subgraphs(each):
            yield from (value.name for value in inner.output)
