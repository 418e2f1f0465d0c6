"""Rounding with error feedback: on the engine's grid, no worse than to the nearest, and sound where
there is little to go by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.optimize import rounding
from edgekit.optimize.fake_quant import Stored, clip, fake_quantize, weight_scales
from edgekit.optimize.rounding import (
    Rounded,
    round_columns,
    round_nearest,
    round_weights,
    second_moments,
)
from edgekit.optimize.torch_graph import TorchGraph, load_torch_graph
from edgekit.tflite.constants import with_constants
from edgekit.tflite.links import is_layer
from tests.optimize.cases import Case, case, chained, convolutions, normal
from tests.optimize.engine import extremes, int8_weights, loaded, quantized, stored
from tests.tflite.graphs import shared, single


def rows(groups: int, count: int, size: int, seed: int) -> torch.Tensor:
    """Inputs that go together, as a network's do."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn((groups, size, size), generator=generator)
    return torch.relu(torch.randn((groups, count, size), generator=generator) @ mixed)


def error_of(weights: torch.Tensor, rounded: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """What each output loses, squared and on average: [groups, out]."""
    off = (weights - rounded).double()
    return ((off @ moments) * off).sum(-1)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 100))


@settings(max_examples=40)
@given(shapes, st.integers(0, 1000))
def test_no_row_is_worse_than_to_the_nearest_and_all_are_on_their_grid(
    shape: tuple[int, int, int], seed: int
) -> None:
    groups, _, size = shape
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3
    moments = second_moments(rows(groups, 50, size, seed))
    found, plain = round_columns(weights, moments), round_nearest(weights)
    scale = weight_scales(weights)
    steps = found / scale
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    torch.testing.assert_close(weight_scales(found), scale)  # found again by who looks for it
    limit = error_of(weights, plain, moments) * (1 + 1e-6)
    assert (error_of(weights, found, moments) <= limit + 1e-12).all()


def test_on_the_whole_it_is_much_better() -> None:
    weights = torch.randn((1, 32, 200), generator=torch.Generator().manual_seed(0))
    moments = second_moments(rows(1, 2000, 200, 1))
    found, plain = round_columns(weights, moments), round_nearest(weights)
    gain = error_of(weights, plain, moments).mean() / error_of(weights, found, moments).mean()
    assert gain > 1.5


@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-39, 1e-36, 1e-30])
def test_a_dead_channel_stays_dead(size: float) -> None:
    """Pruned and decayed channels hold zeros, or numbers so small that they have no scale."""
    weights = torch.randn((1, 3, 20), generator=torch.Generator().manual_seed(0))
    weights[0, 1] *= size
    found = round_columns(weights, second_moments(rows(1, 50, 20, 0)))
    assert found.isfinite().all()
    assert found[0, 1].abs().max() <= 4 * size
    assert found[0, 0].any()


def test_inputs_that_are_always_zero_or_constant_are_taken() -> None:
    weights = torch.randn((1, 3, 20), generator=torch.Generator().manual_seed(0))
    some = rows(1, 50, 20, 0)
    some[..., :5] = 0.0
    some[..., 5:9] = 3.0
    for each in (some, torch.zeros_like(some), torch.full_like(some, 2.0)):
        moments = second_moments(each)
        found = round_columns(weights, moments)
        assert found.isfinite().all()
        limit = error_of(weights, round_nearest(weights), moments)
        assert (error_of(weights, found, moments) <= limit * (1 + 1e-6)).all()


def test_moments_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(RuntimeError):
        round_columns(torch.randn(1, 2, 3), torch.full((1, 3, 3), torch.nan, dtype=torch.float64))


# Whole graphs ------------------------------------------------------------------------------------


def rounded(
    data: bytes, feedback: bool = True, count: int = 40, seed: int = 0
) -> tuple[TorchGraph, dict[int, Any], dict[int, Stored], dict[str, Any], Rounded]:
    graph, feeds = loaded(data, count)
    ranges = extremes(graph, feeds)
    how = stored(data, ranges)
    found = round_weights(graph, how, feeds, feedback=feedback, seed=seed)
    return graph, feeds, how, ranges, found


def noise(
    graph: TorchGraph, feeds: dict[int, Any], how: dict[int, Stored], constants: Any
) -> float:
    """Share of the outputs' energy that is lost where activations are stored as ``how``."""
    exact = graph.run(feeds)
    after = graph.run(feeds, lambda i, x: fake_quantize(x, how[i]), constants)
    lost = sum(float(((exact[i] - after[i]) ** 2).sum()) for i in exact)
    return lost / sum(float((x**2).sum()) for x in exact.values())


def to_nearest(graph: TorchGraph) -> dict[int, torch.Tensor]:
    from edgekit.optimize.layer_rows import as_matrices, from_matrices

    found = dict(graph.constants)
    for op in graph.graph.ops:
        weights = graph.constants[op.inputs[1]]
        x = graph.graph.tensors[op.inputs[0]].shape
        groups = {"FULLY_CONNECTED": 1, "DEPTHWISE_CONV_2D": x[-1]}.get(
            op.name, x[-1] // weights.shape[-1]
        )
        matrices = as_matrices(op, weights, groups)
        found[op.inputs[1]] = from_matrices(op, round_nearest(matrices), weights.shape)
    return found


@pytest.mark.parametrize("last_bias", [True, False])
def test_the_engine_finds_the_grid_that_was_chosen(last_bias: bool) -> None:
    data = chained(last_bias=last_bias)
    graph, _, _, ranges, found = rounded(data)
    layers = [op for op in graph.graph.ops if is_layer(graph.graph, op)]
    assert found.constants.keys() == {
        index for op in layers for index in op.inputs[1:3] if index >= 0
    }
    changed = with_constants(data, {i: x.numpy() for i, x in found.constants.items()})
    made = int8_weights(quantized(changed, ranges))
    for op in layers:
        values, tensor = made[graph.graph.tensors[op.inputs[1]].name]
        shape = [-1 if axis == tensor.axis else 1 for axis in range(values.ndim)]
        scales = np.asarray(tensor.scales, np.float64).reshape(shape)
        chosen = found.constants[op.inputs[1]].numpy()
        np.testing.assert_allclose(values * scales, chosen, rtol=1e-5, atol=1e-7)
        widest = np.abs(graph.constants[op.inputs[1]].numpy())
        other = tuple(axis for axis in range(values.ndim) if axis != tensor.axis)
        np.testing.assert_allclose(scales.ravel(), widest.max(other) / 127, rtol=1e-5)


@pytest.mark.parametrize("outputs", [1, 5])
@pytest.mark.parametrize("count", [1, 40])
def test_the_graph_is_better_than_with_weights_to_the_nearest(outputs: int, count: int) -> None:
    """On other samples than it was rounded on, where there were enough of these."""
    graph, feeds, how, _, found = rounded(chained(outputs=outputs), count=count)
    assert all(x.isfinite().all() for x in found.constants.values())
    if count > 1:
        _, feeds = loaded(chained(outputs=outputs), 40, seed=1)
    plain = noise(graph, feeds, how, _nearest_layers(graph))
    after = noise(graph, feeds, how, {**graph.constants, **found.constants})
    assert after < plain or (count == 1 and after < 1e-3)


def _nearest_layers(graph: TorchGraph) -> dict[int, torch.Tensor]:
    layers = replace(
        graph.graph, ops=tuple(op for op in graph.graph.ops if is_layer(graph.graph, op))
    )
    return to_nearest(replace(graph, graph=layers))


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = (rounded(chained())[-1].constants for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[index], second[index]) for index in first)


def test_advance_is_called_once_an_operator() -> None:
    graph, feeds = loaded(chained(), 2)
    how = stored(chained(), extremes(graph, feeds))
    calls: list[None] = []
    round_weights(graph, how, feeds, feedback=False, seed=0, advance=lambda: calls.append(None))
    assert len(calls) == len(graph.graph.ops)


@settings(max_examples=15)
@given(convolutions(), st.booleans())
def test_the_mean_of_any_convolution_is_kept(made: Case, feedback: bool) -> None:
    data = single(made.kind, made.operands, **{**made.options, "fusedActivationFunction": 0})
    graph, feeds, how, _, found = rounded(data, feedback, count=4)
    (op,) = graph.graph.ops
    constants = {**graph.constants, **found.constants}
    if not feedback:
        assert found.constants.keys() == {op.inputs[2]}
        constants[op.inputs[1]] = to_nearest(graph)[op.inputs[1]]
    exact_feeds = {i: clip(x, how[i]) for i, x in feeds.items()}
    stored_feeds = {i: fake_quantize(x, how[i]) for i, x in feeds.items()}
    (exact,), (after,) = (
        list(graph.run(x, constants=c).values())
        for x, c in ((exact_feeds, graph.constants), (stored_feeds, constants))
    )
    means = [x.reshape(-1, x.shape[-1]).mean(0) for x in (exact, after)]
    torch.testing.assert_close(means[1], means[0], rtol=1e-4, atol=1e-4)


def test_without_feedback_biases_alone_are_changed() -> None:
    graph, *_, found = rounded(chained(), feedback=False)
    assert found.nearest == {}
    assert found.constants.keys() == {
        op.inputs[2] for op in graph.graph.ops if is_layer(graph.graph, op)
    }


def test_a_few_values_beyond_the_range_do_not_rule_the_rest() -> None:
    """Ranges are estimated, so some values are clipped; the reference is clipped alike."""
    data = chained()
    graph, feeds = loaded(data)
    how = stored(data, extremes(graph, feeds))
    feeds[graph.graph.inputs[0]][0, 4, 4, :] = 1e6
    found = round_weights(graph, how, feeds, feedback=True, seed=0)
    assert all(x.isfinite().all() for x in found.constants.values())
    _, others = loaded(data, 40, seed=1)
    plain = noise(graph, others, how, _nearest_layers(graph))
    assert noise(graph, others, how, {**graph.constants, **found.constants}) < plain


@pytest.mark.parametrize("value", [1e6, -1e6])
def test_an_outlier_within_the_range_is_survived(value: float) -> None:
    """Its step is so coarse that all else is zero, in INT8 too: no worse, and finite."""
    data = chained()
    graph, feeds = loaded(data)
    feeds[graph.graph.inputs[0]][0, 4, 4, :] = value
    how = stored(data, extremes(graph, feeds))
    found = round_weights(graph, how, feeds, feedback=True, seed=0)
    constants = {**graph.constants, **found.constants}
    assert all(x.isfinite().all() for x in found.constants.values())
    plain = noise(graph, feeds, how, _nearest_layers(graph))
    assert noise(graph, feeds, how, constants) <= plain * 1.01


def test_constant_inputs_and_dead_channels_are_no_worse() -> None:
    data = chained()
    graph = load_torch_graph(data)
    constants = {index: x.clone() for index, x in graph.constants.items()}
    first, second, third, last = (
        op.inputs[1] for op in graph.graph.ops if is_layer(graph.graph, op)
    )
    constants[first][2] = 0.0
    constants[second][1] = 1e-40
    constants[third][..., 3] = 0.0
    constants[last][0] = 0.0
    data = with_constants(data, {i: constants[i].numpy() for i in (first, second, third, last)})
    graph, feeds = loaded(data)
    feeds = {index: torch.full_like(x, 0.7) for index, x in feeds.items()}
    how = stored(data, extremes(graph, feeds))
    found = round_weights(graph, how, feeds, feedback=True, seed=0)
    after = {**graph.constants, **found.constants}
    assert all(x.isfinite().all() for x in found.constants.values())
    assert after[second][1].abs().max() <= 1e-38
    plain = noise(graph, feeds, how, _nearest_layers(graph))
    assert noise(graph, feeds, how, after) <= plain * 1.01


def test_weights_of_two_layers_are_left_alone() -> None:
    graph, *_, found = rounded(shared())
    own = graph.graph.ops[2].inputs[1]
    assert found.constants.keys() == {own}


def test_a_layer_that_stays_float_is_left_alone() -> None:
    data = chained()
    graph, feeds = loaded(data)
    how = stored(data, extremes(graph, feeds))
    layers = [op for op in graph.graph.ops if is_layer(graph.graph, op)]
    del how[layers[1].outputs[0]]
    found = round_weights(graph, how, feeds, feedback=True, seed=0)
    touched = {layers[0].inputs[1], layers[3].inputs[1]}
    assert touched <= found.constants.keys()
    assert not {layers[1].inputs[1], layers[2].inputs[1]} & found.constants.keys()


def test_too_many_inputs_are_rounded_to_the_nearest_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounding, "INPUTS_MAX", 100)
    graph, *_, found = rounded(chained())
    assert found.nearest == {"y": "it has 300 inputs, more than 100"}
    last = graph.graph.ops[-1]
    assert last.inputs[1] not in found.constants
    assert last.inputs[2] in found.constants


def test_samples_that_are_no_numbers_leave_the_layer_to_the_nearest() -> None:
    data = single(
        "FULLY_CONNECTED", [(1, 4), normal(3, 4), normal(3)], table="FullyConnectedOptions"
    )
    graph, feeds = loaded(data)
    how = stored(data, extremes(graph, feeds))
    (index,) = feeds
    bad = {index: torch.full_like(feeds[index], torch.nan)}
    plain = replace(how[index])
    found = round_weights(graph, {**how, index: plain}, bad, feedback=True, seed=0)
    assert all(x.isfinite().all() for x in found.constants.values())


def test_one_sample_of_one_output_is_taken() -> None:
    made = case("FULLY_CONNECTED", (1, 5), normal(1, 5), normal(1), table="FullyConnectedOptions")
    *_, found = rounded(single(made.kind, made.operands, **made.options), count=1)
    assert all(x.isfinite().all() for x in found.constants.values())
