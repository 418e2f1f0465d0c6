"""The simulation that tells where an INT8 file's error sits."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from benchmarks.remaining_error import BATCH, Climbed, Simulation, on_grid, shares
from edgekit.methods.litert_build import Built
from edgekit.optimize.torch_graph import load_torch_graph
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.types import Sample
from tests.methods.test_litert_ladder import INPUT, network
from tests.optimize.engine import extremes, quantized

SAMPLES = [
    Sample(str(i), str(i), {"x": np.random.default_rng(i).normal(size=INPUT).astype(np.float32)})
    for i in range(BATCH + 3)
]


def test_it_computes_what_the_runtime_does() -> None:
    graph = load_torch_graph(network())
    found = Simulation(graph, SAMPLES).answers(None, graph.constants)
    with LiteRTSession(network()) as session:
        expected = predict(session, SAMPLES)
    np.testing.assert_allclose(found.outputs["scores"], expected.outputs["scores"], atol=1e-3)


def test_weights_are_put_on_the_grid_of_their_channel_once() -> None:
    graph = load_torch_graph(network())
    rounded = on_grid(graph)
    moved = {i for i, x in rounded.items() if not torch.equal(x, graph.constants[i])}
    assert len(moved) == 3  # of three layers, and no bias
    (first,) = [rounded[i] for i in moved if rounded[i].shape == (8, 3, 3, 4)]
    steps = first / (first.abs().amax(dim=(1, 2, 3), keepdim=True) / 127)
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_each_share_costs_less_than_both_together() -> None:
    data = network()
    graph = load_torch_graph(data)
    feeds = {
        graph.graph.inputs[0]: torch.from_numpy(np.concatenate([s.feeds["x"] for s in SAMPLES]))
    }
    small = quantized(data, extremes(graph, feeds))
    built = Built(data, data, "minmax", {}, {}, small, {}, False)
    found = shares(Climbed("ranges", built, SAMPLES, "scores"))
    decibels = {name: each.outputs["scores"].sqnr_db for name, each in found.items()}
    assert list(decibels) == ["weights alone", "activations alone", "both"]
    assert decibels["both"] < min(decibels["weights alone"], decibels["activations alone"])
