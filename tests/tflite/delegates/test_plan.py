"""How a graph falls into partitions, whatever the operators are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.tflite.delegates.plan import partitions
from edgekit.tflite.graph import Graph, Op

CASE = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 30), max_size=3)), min_size=1, max_size=12
)


def graph_of(sources: list[list[int]]) -> Graph:
    """Operator n writes tensor n + 1 and reads earlier ones; tensor 0 is the input."""
    ops = tuple(
        Op(n, "OP", 1, tuple(i % (n + 1) for i in read) or (0,), (n + 1,), 0, "NONE")
        for n, read in enumerate(sources)
    )
    return Graph((), ops, (0,), (len(ops),), None, (), ())


@given(CASE)
def test_every_supported_operator_is_in_exactly_one_partition(
    case: list[tuple[bool, list[int]]],
) -> None:
    supported = {n for n, (taken, _) in enumerate(case) if taken}
    found = partitions(graph_of([read for _, read in case]), supported)
    assert sorted(index for part in found for index in part) == sorted(supported)


@given(CASE)
def test_no_value_leaves_a_partition_and_comes_back(case: list[tuple[bool, list[int]]]) -> None:
    graph = graph_of([read for _, read in case])
    supported = {n for n, (taken, _) in enumerate(case) if taken}
    written = {tensor: op for op in graph.ops for tensor in op.outputs}

    def behind(op: Op) -> set[int]:
        """Every operator that ``op`` depends on, itself included."""
        found = {op.index}
        for tensor in op.inputs:
            if tensor in written:
                found |= behind(written[tensor])
        return found

    for part in partitions(graph, supported):
        for index in part:
            for source in graph.ops[index].inputs:
                maker = written.get(source)
                if maker is not None and maker.index not in part:
                    assert not behind(maker) & set(part)


def test_a_network_without_any_is_none() -> None:
    assert partitions(graph_of([[0], [1]]), ()) == []


def test_what_stands_alone_in_the_middle_splits() -> None:
    assert partitions(graph_of([[0], [1], [2]]), {0, 2}) == [(0,), (2,)]
    # A branch beside it is collected with what comes before.
    assert partitions(graph_of([[0], [1], [0], [2, 3]]), {0, 2, 3}) == [(0, 2), (3,)]
