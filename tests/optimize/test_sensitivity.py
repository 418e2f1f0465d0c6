"""Sensitivity: which layer makes the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.optimize.fake_quant import Stored, fake_quantize
from edgekit.optimize.sensitivity import Sensitivity, measure_sensitivity
from edgekit.optimize.torch_graph import TorchGraph, load_torch_graph
from tests import tflite_models as models
from tests.methods import mixed_graphs


def _measured(
    graph: TorchGraph, stored_as: dict[int, Stored], *, weights: bool = False
) -> tuple[Sensitivity, ...]:
    return measure_sensitivity(
        graph, stored_as, _feeds(graph), graph.graph.outputs[0], weights=weights
    )


def _feeds(graph: TorchGraph) -> dict[int, torch.Tensor]:
    values = np.random.default_rng(1).normal(size=(16, *models.INPUT_SHAPE[1:]))
    return {graph.graph.inputs[0]: torch.from_numpy(values.astype(np.float32))}


def _stored(graph: TorchGraph) -> dict[int, Stored]:
    """Every activation in the steps of its extremes."""
    found: dict[int, Stored] = {}

    def keep(index: int, value: torch.Tensor) -> torch.Tensor:
        found[index] = Stored(float(value.abs().max()) / 127, 0)
        return value

    graph.run(_feeds(graph), keep)
    return found


def test_a_damaged_layer_is_found() -> None:
    graph = load_torch_graph(mixed_graphs.chain())
    found = _measured(graph, _stored(graph))
    assert [each.layer for each in found] == [graph.graph.layer(op) for op in graph.graph.ops]
    assert sum(each.share for each in found) == pytest.approx(1)
    worst = max(found, key=lambda each: each.noise)
    assert worst.layer == mixed_graphs.DAMAGED
    assert worst.share > 0.9


@pytest.mark.parametrize("kind", ["ADD", "RESHAPE", "CONCATENATION", "MEAN"])
def test_the_noise_is_that_of_the_whole_graph_run_with_one_layer_quantized(kind: str) -> None:
    graph = load_torch_graph(mixed_graphs.around(kind))
    stored, (output,) = _stored(graph), graph.graph.outputs
    exact = graph.run(_feeds(graph))[output]
    for each in _measured(graph, stored):
        (index,) = (t.index for t in graph.graph.tensors if t.name == each.layer)

        def one(tensor: int, value: torch.Tensor, only: int = index) -> torch.Tensor:
            return fake_quantize(value, stored[tensor]) if tensor == only else value

        noise = graph.run(_feeds(graph), one)[output] - exact
        expected = float(noise.double().square().sum() / exact.double().square().sum())
        assert each.noise == pytest.approx(expected, rel=1e-6)


def test_what_only_moves_values_is_no_layer_of_its_own() -> None:
    graph = load_torch_graph(mixed_graphs.around("RESHAPE"))
    assert [each.layer for each in _measured(graph, _stored(graph))] == ["conv", "scores"]


def test_layers_that_stay_float_are_not_there() -> None:
    graph = load_torch_graph(mixed_graphs.chain())
    stored = _stored(graph)
    del stored[graph.graph.ops[5].outputs[0]]
    found = {each.layer for each in _measured(graph, stored)}
    assert "conv5" not in found
    assert "conv6" in found


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_rounded_weights_are_noise_where_they_are_asked_for(kind: str) -> None:
    graph = load_torch_graph(mixed_graphs.around(kind))
    fine = {index: Stored(each.scale / 256, 0, 16) for index, each in _stored(graph).items()}
    alone, with_weights = (
        {each.layer: each.noise for each in _measured(graph, fine, weights=weights)}
        for weights in (False, True)
    )
    assert with_weights["act"] > 10 * alone["act"] > 0


def test_without_any_noise_nobody_has_a_share() -> None:
    graph = load_torch_graph(mixed_graphs.chain())
    silent = {graph.graph.inputs[0]: torch.zeros(1, *models.INPUT_SHAPE[1:])}
    output = graph.graph.outputs[0]
    found = measure_sensitivity(graph, _stored(graph), silent, output, weights=True)
    assert len(found) == len(graph.graph.ops)
    assert {(each.noise, each.share) for each in found} == {(0.0, 0.0)}
