"""Mixed precision: what is raised together, in which order, how many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.methods.litert_units import Unit, by_gain, costs, fewest, knee, spent, units
from edgekit.tflite.graph import Graph, parse_graph
from tests.methods import mixed_graphs
from tests.tflite import graphs


def _shares(graph: Graph) -> dict[str, float]:
    return {graph.layer(op): 1 / len(graph.ops) for op in graph.ops}


def _names(graph: Graph, unit: Unit) -> list[str]:
    return [graph.layer(graph.ops[index]) for index in sorted(unit.ops)]


def test_a_layer_is_raised_with_whatever_reads_it() -> None:
    graph = parse_graph(mixed_graphs.chain())
    found = {unit.layer: unit for unit in units(graph, _shares(graph), "int16", ())}
    assert _names(graph, found["conv5"]) == ["conv5", "conv6"]
    assert _names(graph, found["mean"]) == ["mean", "scores"]
    assert "scores" not in found  # the end of the graph has the type that the recipe asks for


def test_what_only_moves_values_is_raised_with_both_its_sides() -> None:
    graph = parse_graph(mixed_graphs.around("RESHAPE"))
    (unit,) = units(graph, {"conv": 1.0}, "int16", ())
    assert _names(graph, unit) == ["conv", "act", "scores"]
    assert {graph.tensors[index].name for index in unit.tensors} == {"conv", "act"}


def test_layers_beside_an_operator_without_int16_are_raised_to_float_only() -> None:
    graph = parse_graph(mixed_graphs.around("ELU"))
    assert units(graph, _shares(graph), "int16", ()) == []
    assert [unit.layer for unit in units(graph, _shares(graph), "float32", ())] == ["conv", "act"]


def test_layers_that_are_float_already_are_not_raised() -> None:
    graph = parse_graph(mixed_graphs.chain())
    found = {unit.layer: unit for unit in units(graph, _shares(graph), "float32", ("conv6",))}
    assert _names(graph, found["conv5"]) == ["conv5"]
    assert "conv6" not in found


def test_layers_without_noise_are_not_raised() -> None:
    graph = parse_graph(graphs.activated("HARD_SWISH"))
    assert units(graph, {}, "float32", ()) == []


def test_costs_are_shares_of_the_whole_and_know_work_from_none() -> None:
    graph = parse_graph(mixed_graphs.around("SOFTMAX"))
    for to in ("int16", "float32"):
        cost = costs(graph, to)
        assert abs(sum(cost) - 1) < 1e-9
        assert cost[2] > cost[1] > 0  # the matrix, the softmax


SOME_UNITS = st.lists(
    st.builds(
        Unit,
        layer=st.text(max_size=3),
        share=st.floats(0.001, 1),
        tensors=st.just(frozenset[int]()),
        ops=st.frozensets(st.integers(0, 7), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=9,
)


@given(SOME_UNITS)
def test_the_order_keeps_every_unit_and_shared_operators_are_paid_once(found: list[Unit]) -> None:
    cost = [0.125] * 8
    order = by_gain(found, cost)
    assert sorted(map(repr, order)) == sorted(map(repr, found))
    paid = [spent(order[:count], cost) for count in range(len(order) + 1)]
    assert paid == sorted(paid)
    assert paid[0] == 0
    assert paid[-1] <= 1
    first = order[0]
    assert all(
        first.share / (len(first.ops) + 1) >= each.share / (len(each.ops) + 1) - 1e-9
        for each in found
    )


@given(st.integers(1, 200), st.integers(1, 250))
def test_the_fewest_that_hold_are_found_in_few_tries(most: int, needed: int) -> None:
    tried: list[int] = []

    def holds(count: int) -> bool:
        tried.append(count)
        return count >= needed

    assert fewest(holds, most) == (needed if needed <= most else None)
    assert len(tried) == len(set(tried)) <= 2 * most.bit_length() + 1
    assert max(tried) <= most


def test_the_knee_is_where_the_noise_that_goes_no_longer_outweighs_what_is_paid() -> None:
    assert knee([0.6, 0.2, 0.02, 0.01], [0.1, 0.2, 0.3, 0.4]) == 2
    assert knee([0.01], [0.5]) == 1
