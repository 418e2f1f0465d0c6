"""How PT2E is told to hold a tensor: the specs of activations and weights, per backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torchao.quantization.pt2e.observer import PlaceholderObserver
from torchao.quantization.pt2e.quantizer import FixedQParamsQuantizationSpec, QuantizationSpec

from edgekit.pytorch.pt2e_observers import (
    WEIGHT_EPS,
    ActivationExtremes,
    PerChannelWeight,
    PerTensorWeight,
)


@dataclass(frozen=True)
class Specs:
    """Specs of one backend. QAT replaces the two constructors by its fake quantizers."""

    unsigned: bool = False
    """Activations are uint8, as x86 kernels want them, not int8."""
    per_channel: bool = True
    activation_observer: Any = ActivationExtremes
    weight_observer: Any = None

    def activation(self) -> QuantizationSpec:
        """Affine, per tensor."""
        low, high = (0, 255) if self.unsigned else (-128, 127)
        return QuantizationSpec(
            dtype=torch.uint8 if self.unsigned else torch.int8,
            quant_min=low,
            quant_max=high,
            qscheme=torch.per_tensor_affine,
            observer_or_fake_quant_ctr=self.activation_observer,
        )

    def dynamic_activation(self) -> QuantizationSpec:
        """Affine, per tensor, its range taken anew from every input."""
        return QuantizationSpec(
            dtype=torch.int8,
            quant_min=-128,
            quant_max=127,
            qscheme=torch.per_tensor_affine,
            is_dynamic=True,
            observer_or_fake_quant_ctr=PlaceholderObserver,
        )

    def weight(self, axis: int, bits: int = 8) -> QuantizationSpec:
        """Symmetric; ``axis`` is that of the output channels. Fewer bits are still stored int8."""
        observer = self.weight_observer or (
            PerChannelWeight if self.per_channel else PerTensorWeight
        )
        top = 2 ** (bits - 1) - 1
        return QuantizationSpec(
            dtype=torch.int8,
            quant_min=-top,
            quant_max=top,
            qscheme=(
                torch.per_channel_symmetric if self.per_channel else torch.per_tensor_symmetric
            ),
            ch_axis=axis if self.per_channel else None,
            observer_or_fake_quant_ctr=observer.with_args(eps=WEIGHT_EPS),
        )

    def fixed(self, scale: float, zero_point: int) -> FixedQParamsQuantizationSpec:
        """For an int8 operator whose kernels fix the scale of what it gives."""
        shift = 128 if self.unsigned else 0
        return FixedQParamsQuantizationSpec(
            dtype=torch.uint8 if self.unsigned else torch.int8,
            scale=scale,
            zero_point=zero_point + shift,
            quant_min=-128 + shift,
            quant_max=127 + shift,
            qscheme=torch.per_tensor_affine,
        )
