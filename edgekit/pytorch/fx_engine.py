"""Whether a quantized engine computes what its own float reference says.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, log10
from typing import Any

import torch

from edgekit.pytorch.script import Example, answers

MARGIN_DB = 3.0
"""An engine is trusted where it adds less than half the noise that quantization itself does."""


@dataclass(frozen=True)
class EngineCheck:
    """Signal to noise over some samples, all outputs pooled, each scaled to its own power, in dB:
    ``engine_db`` of the INT8 model against its reference, ``quantization_db`` of the reference
    against the float model."""

    engine_db: float
    quantization_db: float

    @property
    def trusted(self) -> bool:
        return self.engine_db >= self.quantization_db + MARGIN_DB

    def __str__(self) -> str:
        return (
            f"{self.engine_db:.1f} dB from its reference, which is {self.quantization_db:.1f} dB "
            "from the float model"
        )


def check_engine(
    model: Callable[..., Any],
    reference: Callable[..., Any],
    int8: Callable[..., Any],
    examples: Sequence[Example],
) -> EngineCheck:
    """Run ``examples`` through the three; the engine must be set in torch."""
    with torch.inference_mode():
        wanted = [answers(model(*tensors)) for tensors in examples]
        simulated = [answers(reference(*tensors)) for tensors in examples]
        found = [answers(int8(*tensors)) for tensors in examples]
    return EngineCheck(_sqnr_db(simulated, found), _sqnr_db(wanted, simulated))


def _sqnr_db(
    left: Sequence[Sequence[torch.Tensor]], right: Sequence[Sequence[torch.Tensor]]
) -> float:
    shares = [
        _noise_share(a, b)
        for a, b in zip(zip(*left, strict=True), zip(*right, strict=True), strict=True)
    ]
    noise = sum(shares) / len(shares)
    return inf if noise == 0 else -10 * log10(noise)


def _noise_share(signal: Iterable[torch.Tensor], other: Iterable[torch.Tensor]) -> float:
    """Power of the difference by the power of the signal, over the samples of one output."""
    power = noise = 0.0
    for a, b in zip(signal, other, strict=True):
        power += float(a.double().square().sum())
        noise += float((a.double() - b.double()).square().sum())
    return noise / power if power else float(noise > 0)
