"""What INT8 does to numbers, done to float numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WEIGHT_MAX = 127
"""Weights are symmetric: -127 to 127, zero point 0 (the INT8 specification of LiteRT)."""


@dataclass(frozen=True)
class Stored:
    """How an activation is stored: ``real = scale * (integer - zero_point)``, in ``bits``."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def least(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def most(self) -> int:
        return (1 << (self.bits - 1)) - 1


def fake_quantize(x: Tensor, stored: Stored) -> Tensor:
    """The real values of ``x`` once stored.

    ``torch.fake_quantize_per_tensor_affine`` gives the same and a mask for gradients, in more than
    twice the time.
    """
    # Both kernels multiply by the reciprocal in float32.
    steps = x * float(1.0 / torch.tensor(stored.scale))
    steps.round_().clamp_(stored.least - stored.zero_point, stored.most - stored.zero_point)
    return steps.mul_(stored.scale)


def clip(x: Tensor, stored: Stored) -> Tensor:
    """``x`` within what can be stored, not rounded."""
    return x.clamp(
        stored.scale * (stored.least - stored.zero_point),
        stored.scale * (stored.most - stored.zero_point),
    )


def weight_scales(weights: Tensor) -> Tensor:
    """One scale an output channel: ``weights`` [..., in] gives [..., 1]. A dead channel has one
    too, so that nothing is divided by zero."""
    most = weights.abs().amax(dim=-1, keepdim=True) / WEIGHT_MAX
    return torch.where(most > torch.finfo(weights.dtype).tiny, most, torch.ones_like(most))
