"""Factors of equalization, found again in the weights of the quantized model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.tflite.channel_factors import channel_factors
from edgekit.tflite.constants import constant_array, with_constants
from edgekit.tflite.flatbuffer import unpack
from edgekit.tflite.graph import parse_graph
from edgekit.types import Array
from tests.int8_models import quantized
from tests.tflite import graphs

PLAIN = graphs.separable()


def factors(reference: bytes, candidate: bytes) -> dict[str, Array]:
    graph = parse_graph(reference)
    found = channel_factors(reference, candidate)
    return {graph.tensors[index].name: factor for index, factor in found.items()}


@given(st.lists(st.floats(1.2, 60), min_size=8, max_size=8))
@settings(max_examples=20)
def test_any_factors_are_found_at_every_tensor_between(factor: list[float]) -> None:
    found = factors(PLAIN, graphs.separable(np.array(factor)))
    assert set(found) == {"inner", "padded"}
    for each in found.values():
        np.testing.assert_allclose(each, factor, rtol=1e-5)


def test_rounding_to_int8_blurs_them_by_less_than_a_percent() -> None:
    factor = np.array([1, 2, 4, 8, 16, 1, 3, 5.0])
    found = factors(PLAIN, quantized(graphs.separable(factor)))
    np.testing.assert_allclose(found["inner"], factor, rtol=0.01)


@pytest.mark.parametrize("name", ["kernel", "each", "matrix"])
def test_damaged_weights_are_no_equalization(name: str) -> None:
    assert factors(PLAIN, graphs.with_coarse_weights(PLAIN, name, levels=2)) == {}


def test_a_model_that_was_only_quantized_has_none() -> None:
    assert factors(PLAIN, quantized(PLAIN)) == {}
    assert factors(graphs.chain(), quantized(graphs.chain())) == {}


def test_another_model_has_none() -> None:
    assert factors(PLAIN, graphs.varied()) == {}


def test_a_dead_channel_has_factor_1() -> None:
    def without_last(data: bytes) -> bytes:
        model = unpack(data)
        (index,) = (t.index for t in parse_graph(data).tensors if t.name == "kernel")
        kernel = constant_array(model, model.subgraphs[0].tensors[index]).copy()
        kernel[-1] = 0
        return with_constants(data, {index: kernel})

    found = factors(without_last(PLAIN), without_last(graphs.separable(np.full(8, 2.0))))
    np.testing.assert_allclose(found["inner"], [2] * 7 + [1], rtol=1e-5)
