"""Observers of weights for the x86 engines, whose INT8 products can overflow.

Without VNNI an x86 CPU multiplies with vpmaddubsw: unsigned activations times signed weights, two
neighbouring products added in a saturating int16, and 2 * 255 * 127 does not fit. PyTorch's way
out is ``reduce_range``: activations of 7 bits, which costs 6 dB everywhere. But it takes a pair:
where the two weights that meet never sum to more than 128 steps, nothing overflows whatever the
activations are (255 * 128 < 2^15). Only channels that hold such a pair get a larger scale here, and
activations keep 8 bits. The file then answers alike on every x86 CPU.

Which weights meet was found by trying all pairs on torch 2.13, AVX2 (tests/pytorch hold it).

Imports torch.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver
from torch.nn.functional import pad

PAIR_STEPS = 127
"""Largest sum of a pair in steps of the scale; of the 128 that fit, one is left for rounding."""

Pairing = Literal["flat", "channels"]
PAIRING: dict[str, Pairing] = {"x86": "flat", "fbgemm": "flat", "onednn": "channels"}
"""How an engine's kernels pair weights, where they do. ``flat``: in the order height, width, input
channel. ``channels``: among the input channels at one position; a depthwise kernel has no pair."""


class _PairSafe:
    """Put before an observer of weights: its scale is widened where a pair would overflow."""

    def __init__(self, pairing: Pairing, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pairing = pairing

    def forward(self, x_orig: torch.Tensor) -> torch.Tensor:
        self._pairs = largest_pair(x_orig.detach(), self._pairing)
        return cast(torch.Tensor, super().forward(x_orig))  # type: ignore[misc]

    def calculate_qparams(self, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        scale, zero_point = super().calculate_qparams()  # type: ignore[misc]
        # One scale for all channels has to fit the worst of them.
        pairs = self._pairs if scale.numel() > 1 else self._pairs.max()
        return torch.maximum(scale, pairs.to(scale.dtype) / PAIR_STEPS), zero_point


class PairSafeChannels(_PairSafe, PerChannelMinMaxObserver):
    """Symmetric extremes of each output channel (axis 0)."""


class PairSafeTensor(_PairSafe, MinMaxObserver):
    """The same with one scale for all channels."""


def largest_pair(weight: torch.Tensor, pairing: Pairing) -> torch.Tensor:
    """Largest ``|a + b|`` of two weights that meet, for each output channel (axis 0)."""
    rows = weight.movedim(1, -1) if weight.dim() > 2 else weight
    if pairing == "flat":
        rows = rows.flatten(1)
    if rows.shape[-1] % 2:
        rows = pad(rows, (0, 1))
    if pairing == "channels" and weight.shape[1] == 1:
        return torch.zeros(weight.shape[0])
    return (rows[..., ::2] + rows[..., 1::2]).abs().flatten(1).amax(dim=1)
