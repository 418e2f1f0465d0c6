"""The observers that torchao's PT2E puts into a graph. Imports torch and torchao."""

from __future__ import annotations

import torch
from torchao.quantization.pt2e.observer import (
    MinMaxObserver,
    PerChannelMinMaxObserver,
    UniformQuantizationObserverBase,
)

from edgekit.pytorch.extremes import SampleExtremes

WEIGHT_EPS = 2.0**-20
"""Smallest scale of a weight. A channel that training has switched off would otherwise have one so
small that its bias, held as int32 in steps of input scale times weight scale, does not fit. The
2^-12 of torchao's and litert-torch's configurations is as coarse as real channels are."""


class ActivationExtremes(SampleExtremes, UniformQuantizationObserverBase):  # type: ignore[misc]
    """Observes an activation, per tensor."""


class PerChannelWeight(PerChannelMinMaxObserver):  # type: ignore[misc]
    """Exact extremes of every output channel. Weights do not change: looks at them once."""

    def forward(self, x_orig: torch.Tensor) -> torch.Tensor:
        return x_orig if self.min_val.numel() else super().forward(x_orig)


class PerTensorWeight(MinMaxObserver):  # type: ignore[misc]
    """Exact extremes of a whole weight; looks at it once."""

    def forward(self, x_orig: torch.Tensor) -> torch.Tensor:
        return x_orig if torch.isfinite(self.min_val) else super().forward(x_orig)
