"""Remedies on files: which samples, which ranges, and what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from edgekit.errors import ConversionError, SessionError
from edgekit.optimize import solve
from edgekit.optimize.rounding import Rounded
from edgekit.optimize.solve import (
    check,
    evenly,
    load,
    samples_that_fit,
    solved,
    stored_as,
)
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.ends import with_end_types
from edgekit.tflite.graph import parse_graph
from edgekit.types import Sample
from tests import tflite_models as models
from tests.optimize.cases import chained, normal
from tests.optimize.engine import extremes, loaded, quantized
from tests.tflite import graphs

DTYPES = ("int8", "uint8", "float32")


def samples(count: int, shape: tuple[int, ...] = (1, 9, 9, 3), name: str = "x") -> list[Sample]:
    return [Sample(str(i), str(i), {name: normal(*shape, seed=i)}) for i in range(count)]


def quantize(data: bytes) -> bytes:
    graph, feeds = loaded(data)
    return quantized(data, extremes(graph, feeds))


def run(data: bytes, given: list[Sample]) -> Any:
    with LiteRTSession(data) as session:
        return np.concatenate([next(iter(session.run(each.feeds).values())) for each in given])


def solve_it(data: bytes, given: list[Sample], feedback: bool = True) -> solve.Solved:
    return solved(data, quantize(data), given, feedback=feedback, seed=0, advance=lambda: None)


@pytest.mark.parametrize("feedback", [True, False])
def test_only_weights_and_biases_are_others_and_the_same_ones_each_time(feedback: bool) -> None:
    data = chained()
    first, second = (solve_it(data, samples(8), feedback) for _ in range(2))
    assert first.data == second.data != data
    assert first.samples == 8
    assert first.nearest == {}
    before, after = parse_graph(data), parse_graph(first.data)
    assert (after.ops, after.tensors, after.outputs) == (before.ops, before.tensors, before.outputs)
    wanted = run(data, samples(8))
    assert np.abs(run(first.data, samples(8)) - wanted).max() < 0.2 * np.abs(wanted).max()


@pytest.mark.parametrize(("input_dtype", "output_dtype"), list(product(DTYPES, DTYPES)))
def test_ends_of_any_type_are_stored_as_the_int8_inside(
    input_dtype: str, output_dtype: str
) -> None:
    data = models.two_output_model()
    plain = quantize(data)
    made = with_end_types(plain, input_dtype=input_dtype, output_dtype=output_dtype)
    found = stored_as(parse_graph(data), parse_graph(made))
    assert found == stored_as(parse_graph(data), parse_graph(plain))
    assert found.keys() == {0, 3, 6}


def test_what_a_float_operator_gives_is_stored_as_it_is_read() -> None:
    data = graphs.activated("ELU")
    graph, feeds = loaded(data)
    found = stored_as(graph.graph, parse_graph(quantized(data, extremes(graph, feeds))))
    names = {graph.graph.tensors[index].name for index in found}
    assert names == {"x", "conv", "act", "scores"}


def test_a_tensor_that_stays_float_is_not_stored() -> None:
    data = models.float_model()
    assert stored_as(parse_graph(data), parse_graph(data)) == {}


def test_several_inputs_and_outputs_are_fed_by_name() -> None:
    graph = models.Graph()
    a, b = graph.tensor("first", (1, 4)), graph.tensor("second", (1, 3))
    both, y = graph.tensor("both", (1, 7)), graph.tensor("y", (1, 5))
    graph.operator("CONCATENATION", [a, b], [both], table="ConcatenationOptions", axis=1)
    weights = graph.tensor("weights", (5, 7), data=normal(5, 7))
    bias = graph.tensor("bias", (5,), data=normal(5))
    graph.operator("FULLY_CONNECTED", [both, weights, bias], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"b": b, "a": a}, {"y": y, "both": both}
    data = models.write([graph], {"serving_default": 0})
    given = [
        Sample(str(i), str(i), {"a": normal(1, 4, seed=i), "b": normal(1, 3, seed=50 + i)})
        for i in range(5)
    ]
    found = solve_it(data, given)
    assert found.samples == 5
    assert found.data != data


@pytest.mark.parametrize("fixed", [1, 4, None])
def test_a_file_of_any_batch_is_solved(fixed: int | None) -> None:
    weights = models.weights()
    made = models.float_graph(weights, batch=fixed or 1, free_batch=fixed is None)
    data = models.write([made], {"serving_default": 0})
    found = solve_it(data, samples(6, models.INPUT_SHAPE))
    assert found.samples == 6
    one = models.write([models.float_graph(weights)], {"serving_default": 0})
    alone = solve_it(one, samples(6, models.INPUT_SHAPE))
    assert alone.samples == 6


def _off(*values: float) -> Any:
    """A graph that adds, read in torch as one that adds something else."""
    data = graphs.single("ADD", [(1, 2), np.zeros(2)], table="AddOptions")
    other = graphs.single("ADD", [(1, 2), np.array(values)], table="AddOptions")
    return data, load(other)


@pytest.mark.parametrize("values", [(0.1, 0.0), (np.nan, 0.0), (np.inf, 0.0)])
def test_a_graph_that_torch_computes_otherwise_is_refused(values: tuple[float, ...]) -> None:
    data, graph = _off(*values)
    given = samples(2, (1, 2), "x0")
    with pytest.raises(ConversionError, match="torch computes y otherwise than LiteRT does"):
        check(graph, data, given)
    check(load(data), data, given)


def test_an_answer_of_another_shape_is_refused() -> None:
    graph = load(graphs.single("RELU", [(1, 2)]))
    data = graphs.single("RESHAPE", [(1, 2)], table="ReshapeOptions", newShape=[1, 1, 2])
    with pytest.raises(ConversionError, match="otherwise than LiteRT"):
        check(graph, data, samples(1, (1, 2), "x0"))


def test_a_graph_that_answers_nan_is_refused() -> None:
    data = graphs.single("SQRT", [(1, 2)])
    with pytest.raises(SessionError, match="NaN"):
        check(load(data), data, samples(2, (1, 2), "x0"))


def test_samples_of_unlike_shape_are_refused() -> None:
    data = graphs.single("RELU", [(1, 2)])
    given = [*samples(1, (1, 2), "x0"), *samples(1, (1, 3), "x0")]
    with pytest.raises(ConversionError, match="samples of x0 differ in shape"):
        check(load(data), data, given)


def test_weights_that_became_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from edgekit.optimize import rounding

    def broken(*_: Any, **__: Any) -> Rounded:
        return Rounded({1: torch.full((2, 3, 3, 3), torch.nan)}, {})

    monkeypatch.setattr(rounding, "round_weights", broken)
    with pytest.raises(ConversionError, match="kernel became NaN or infinite"):
        solve_it(models.float_model(), samples(2, models.INPUT_SHAPE))


def test_no_more_samples_than_fit_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = models.float_model()
    widest = (48 + 32) * 4  # the input and what the convolution makes of it, in bytes
    monkeypatch.setattr(solve, "MEMORY_MAX", 4 * widest * 3)
    assert samples_that_fit(parse_graph(data)) == 3
    assert solve_it(data, samples(10, models.INPUT_SHAPE)).samples == 3
    monkeypatch.setattr(solve, "MEMORY_MAX", 1)
    assert samples_that_fit(parse_graph(data)) == 1


def test_a_file_of_several_samples_takes_as_many() -> None:
    one, four = (
        parse_graph(models.write([models.float_graph(models.weights(), batch=n)])) for n in (1, 4)
    )
    assert samples_that_fit(one) == samples_that_fit(four)


@pytest.mark.parametrize(("total", "most"), [(10, 4), (4, 10), (1, 1), (7, 7), (100, 3)])
def test_places_lie_evenly_over_all(total: int, most: int) -> None:
    places = evenly(total, most)
    assert len(places) == min(total, most)
    assert places[0] == 0
    assert places[-1] < total
    gaps = np.diff(places)
    assert len(gaps) == 0 or 0 < gaps.min() <= gaps.max() <= gaps.min() + 1
