"""Weights on x86: which pairs the kernels add, and that none of ours can overflow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.ao.nn import quantized as nnq

from edgekit.pytorch.fx_weights import PAIRING, PairSafeChannels, PairSafeTensor, largest_pair
from edgekit.runtimes.torchscript import on_engine

X86 = [name for name in PAIRING if name in torch.backends.quantized.supported_engines]
# input channels, kernel, groups
SHAPES = [(16, 1, 1), (3, 3, 1), (16, 3, 1), (32, 3, 32), (32, 5, 32), (16, 3, 4)]


def codes(weight: torch.Tensor, engine: str) -> torch.Tensor:
    observer = PairSafeChannels(
        PAIRING[engine], dtype=torch.qint8, qscheme=torch.per_channel_symmetric
    )
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    return torch.quantize_per_channel(weight, scale, zero_point, 0, torch.qint8)


@pytest.mark.parametrize("engine", X86)
@pytest.mark.parametrize(("channels", "kernel", "groups"), SHAPES)
def test_full_scale_activations_meet_full_scale_weights(
    engine: str, channels: int, kernel: int, groups: int
) -> None:
    """The worst there can be: all activations 255, all weights of a channel of one sign."""
    weight = torch.ones(16 if groups == 1 else channels, channels // groups, kernel, kernel)
    weight[::2] *= -1
    quantized = codes(weight, engine)
    image = torch.quantize_per_tensor(torch.full((1, channels, 8, 8), 255.0), 1.0, 0, torch.quint8)
    with on_engine(engine, "the test"):
        layer = nnq.Conv2d(channels, len(weight), kernel, groups=groups)
        layer.set_weight_bias(quantized, torch.zeros(len(weight)))
        wanted = torch.nn.functional.conv2d(
            image.dequantize(), quantized.dequantize(), groups=groups
        )
        layer.scale, layer.zero_point = float(wanted.max()) / 127, 128
        found = layer(image.contiguous(memory_format=torch.channels_last)).dequantize()
    assert float((found - wanted).abs().max()) <= layer.scale


@given(st.integers(0, 10_000), st.sampled_from(["flat", "channels"]), st.sampled_from([1, 3, 4]))
def test_no_pair_exceeds_what_int16_holds(seed: int, pairing: str, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, channels, 3, 3, generator=generator)
    engine = {"flat": "fbgemm", "channels": "onednn"}[pairing]
    steps = codes(weight, engine).int_repr().float()
    assert float(largest_pair(steps, PAIRING[engine]).max()) * 255 < 2**15


def test_a_channel_without_a_bad_pair_keeps_its_scale() -> None:
    weight = torch.tensor([[1.0, 0.0, 0.5, 0.25], [1.0, 1.0, 0.0, 0.0]])
    observer = PairSafeChannels("flat", dtype=torch.qint8, qscheme=torch.per_channel_symmetric)
    observer(weight)
    scale, _ = observer.calculate_qparams()
    assert scale.tolist() == pytest.approx([1 / 127, 2 / 127], rel=0.01)
    whole = PairSafeTensor("flat", dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
    whole(weight)
    assert whole.calculate_qparams()[0].item() == pytest.approx(2 / 127, rel=0.01)
