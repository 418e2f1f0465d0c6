"""A layer as a product of matrices gives what the layer gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from edgekit.optimize.layer_rows import (
    ROWS_LEAST,
    ROWS_MOST,
    as_matrices,
    by_group,
    from_matrices,
    layer_inputs,
)
from edgekit.optimize.torch_graph import TorchGraph, load_torch_graph
from tests.optimize.cases import Case, case, convolutions, normal
from tests.tflite.graphs import conv_options, single


def inputs_of(graph: TorchGraph, samples: int, seed: int = 0) -> torch.Tensor:
    (index,) = graph.graph.inputs
    shape = (samples, *graph.graph.tensors[index].shape[1:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_products_are_the_output(made: Case) -> None:
    plain = {**made.options, "fusedActivationFunction": 0}
    graph = load_torch_graph(single(made.kind, made.operands, **plain))
    (op,), (options,) = graph.graph.ops, graph.options
    x = inputs_of(graph, 2)
    found = layer_inputs(
        op, options, {op.inputs[0]: x}, {op.inputs[0]: -x}, graph.constants, torch.Generator()
    )
    weights = graph.constants[op.inputs[1]]
    matrices = as_matrices(op, weights, found.groups)
    assert torch.equal(from_matrices(op, matrices, weights.shape), weights)
    assert torch.equal(found.exact, -found.stored)  # of the same positions, in the same order
    products = torch.cat(list(by_group(found.exact, found.groups) @ matrices.mT), dim=1)
    (output,) = graph.run({op.inputs[0]: x}).values()
    bias = graph.constants[op.inputs[2]] if op.inputs[2] >= 0 else 0.0
    wanted = output.reshape(-1, output.shape[-1]) - bias
    torch.testing.assert_close(products, wanted, rtol=1e-4, atol=1e-4)


@settings(max_examples=60)
@given(convolutions())
def test_products_of_the_rows_are_the_convolution(made: Case) -> None:
    assert_products_are_the_output(made)


@pytest.mark.parametrize("kept", [False, True])
def test_products_of_the_rows_are_the_fully_connected_layer(kept: bool) -> None:
    shape = (1, 5, 12) if kept else (1, 3, 4)
    options: dict[str, Any] = {"table": "FullyConnectedOptions", "keepNumDims": kept}
    assert_products_are_the_output(case("FULLY_CONNECTED", shape, normal(4, 12), None, **options))


def drawn(graph: TorchGraph, seed: int) -> torch.Tensor:
    (op,), (options,) = graph.graph.ops, graph.options
    x = {op.inputs[0]: inputs_of(graph, 4)}
    generator = torch.Generator().manual_seed(seed)
    return layer_inputs(op, options, x, x, graph.constants, generator).exact


def test_of_many_positions_some_are_drawn_the_same_with_one_seed() -> None:
    data = single("CONV_2D", [(1, 40, 40, 1), normal(2, 1, 1, 1), normal(2)], **conv_options())
    graph = load_torch_graph(data)
    assert drawn(graph, 0).shape == (ROWS_LEAST, 1, 1)
    assert torch.equal(drawn(graph, 0), drawn(graph, 0))
    assert not torch.equal(drawn(graph, 0), drawn(graph, 1))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_product_of_many_inputs_is_given_more_rows(channels: int) -> None:
    """However many outputs it has."""
    weights = normal(channels, 3, 3, 40)
    data = single("CONV_2D", [(1, 60, 60, 40), weights, normal(channels)], **conv_options())
    rows = drawn(load_torch_graph(data), 0).shape[0]
    assert rows == min(16 * 3 * 3 * 40, ROWS_MOST)
    assert rows > ROWS_LEAST


def test_a_value_that_is_no_number_stays_one() -> None:
    data = single("CONV_2D", [(1, 4, 4, 1), normal(1, 1, 1, 1), normal(1)], **conv_options())
    graph = load_torch_graph(data)
    (op,), (options,) = graph.graph.ops, graph.options
    x = {op.inputs[0]: torch.full((1, 4, 4, 1), np.nan)}
    found = layer_inputs(op, options, x, x, graph.constants, torch.Generator())
    assert found.exact.isnan().all()
