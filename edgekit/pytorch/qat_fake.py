"""Quantization simulated in a prepared graph, where its observers stood. Imports torch.

Rounding has no useful gradient: it is passed through where a value is within its range, and is
zero where the value is clipped (the straight-through estimator; Jacob et al. 2018,
arXiv:1712.05877).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from edgekit.pytorch.extremes import SampleExtremes

_PER_CHANNEL = (torch.per_channel_symmetric, torch.per_channel_affine)


class FakeActivation(nn.Module):
    """Rounds to the grid that ``observer`` stands for by now: its range may be set anew."""

    def __init__(self, observer: Any) -> None:
        super().__init__()
        # In a tuple, it is no submodule of what is trained.
        self._observer = (observer,)

    def forward(self, x: Tensor) -> Tensor:
        (observer,) = self._observer
        scale, zero_point = observer.calculate_qparams()
        return torch.fake_quantize_per_tensor_affine(
            x, float(scale), int(zero_point), observer.quant_min, observer.quant_max
        )


class FakeWeight(nn.Module):
    """Rounds to the grid that ``observer`` finds for the weight as it is now."""

    def __init__(self, observer: Any) -> None:
        super().__init__()
        self._observer = (observer,)

    def forward(self, weight: Tensor) -> Tensor:
        (observer,) = self._observer
        observer.reset_min_max_vals()
        observer(weight.detach())
        scale, zero_point = observer.calculate_qparams()
        limits = observer.quant_min, observer.quant_max
        if observer.qscheme in _PER_CHANNEL:
            return torch.fake_quantize_per_channel_affine(
                weight, scale, zero_point.to(torch.int32), observer.ch_axis, *limits
            )
        return torch.fake_quantize_per_tensor_affine(weight, float(scale), int(zero_point), *limits)


def fake(observer: Any) -> nn.Module:
    """The simulation of what ``observer`` (of torch.ao or torchao) is there for.

    What is quantized dynamically is passed on as it is: it has no range of its own.
    """
    if getattr(observer, "is_dynamic", False):
        return nn.Identity()
    if isinstance(observer, SampleExtremes) or not hasattr(observer, "reset_min_max_vals"):
        return FakeActivation(observer)
    return FakeWeight(observer)


def simulate(graph: torch.fx.GraphModule) -> None:
    """Put the simulation of each observer in ``graph`` in its place, and one over each weight that
    FX will quantize when it converts."""
    fakes: dict[int, nn.Module] = {}
    for name, module in list(graph.named_modules(remove_duplicate=False)):
        if hasattr(module, "calculate_qparams"):
            graph.set_submodule(name, fakes.setdefault(id(module), fake(module)))
    for module in list(graph.modules()):
        config = getattr(module, "qconfig", None)
        # A fused module is a sequence: the weight is its first member's.
        holder = module[0] if config and isinstance(module, nn.Sequential) else module
        weight = getattr(holder, "weight", None)
        if config and isinstance(weight, nn.Parameter) and weight.ndim > 1:
            register_parametrization(holder, "weight", FakeWeight(config.weight()))
