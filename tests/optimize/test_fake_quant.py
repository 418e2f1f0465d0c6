"""Fake quantization gives what LiteRT stores, and nothing between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.optimize.fake_quant import (
    WEIGHT_MAX,
    Stored,
    clip,
    fake_quantize,
    weight_scales,
)
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from tests import tflite_models as models

stored = st.builds(
    Stored,
    st.floats(1e-4, 10.0).map(lambda x: float(np.float32(x))),
    st.integers(-128, 127),
)
values = st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20)


@given(stored, values)
def test_what_is_stored_is_on_the_grid_and_within_half_a_step_of_what_fits(
    how: Stored, drawn: list[float]
) -> None:
    x = torch.tensor(drawn, dtype=torch.float32)
    found = fake_quantize(x, how)
    steps = found.double() / how.scale + how.zero_point
    assert (steps - steps.round()).abs().max() < 1e-3
    assert steps.round().min() >= -128
    assert steps.round().max() <= 127
    limits = [how.scale * (n - how.zero_point) for n in (how.least, how.most)]
    assert (clip(x, how) == x.clamp(*limits)).all()
    off = (found - clip(x, how)).abs().max()
    assert off <= 0.5 * how.scale + 1e-4 * max(map(abs, limits))
    assert torch.equal(fake_quantize(found, how), found)


def test_stored_in_16_bits_has_their_ends() -> None:
    how = Stored(0.5, 0, bits=16)
    assert (how.least, how.most) == (-32768, 32767)
    x = torch.tensor([1e6, -1e6, 0.26])
    assert fake_quantize(x, how).tolist() == [16383.5, -16384.0, 0.5]


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
def test_it_is_what_litert_stores(zero_point: int) -> None:
    graph = models.Graph()
    x = graph.tensor("x", (1, 500))
    y = graph.tensor("y", (1, 500), "int8", quant=models.Quant((0.0371,), (zero_point,)))
    z = graph.tensor("z", (1, 500))
    graph.operator("QUANTIZE", [x], [y], table="QuantizeOptions")
    graph.operator("DEQUANTIZE", [y], [z], table="DequantizeOptions")
    graph.inputs, graph.outputs = {"x": x}, {"z": z}
    model = unpack(models.write([graph], {"serving_default": 0}))
    model.operatorCodes[1].version = 2  # the first took uint8
    fed = np.random.default_rng(0).normal(0, 3, (1, 500)).astype(np.float32)
    with LiteRTSession(pack(model)) as session:
        wanted = session.run({"x": fed})["z"]
    found = fake_quantize(torch.from_numpy(fed), Stored(0.0371, zero_point)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=9),
    st.floats(1e-4, 10),
    st.integers(-128, 127),
)
def test_it_is_torchs_own(row: list[float], scale: float, zero_point: int) -> None:
    x, how = torch.tensor(row), Stored(scale, zero_point)
    wanted = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, how.least, how.most)
    assert torch.equal(fake_quantize(x, how), wanted)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=9))
def test_a_weight_scale_holds_the_largest_weight(row: list[float]) -> None:
    weights = torch.tensor([row], dtype=torch.float32)
    scale = weight_scales(weights)
    assert scale.shape == (1, 1)
    assert scale > 0
    assert (weights / scale).abs().max() <= WEIGHT_MAX * (1 + 1e-6)


def test_a_channel_of_zeros_or_of_nearly_nothing_has_a_scale() -> None:
    assert weight_scales(torch.tensor([[0.0, 0.0], [1e-38, 0.0]])).tolist() == [[1.0], [1.0]]
