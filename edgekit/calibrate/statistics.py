"""What one pass over the calibration samples leaves behind, whatever ran the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import ConversionError
from edgekit.types import Array


@dataclass(frozen=True)
class Range:
    """The real values a tensor's quantized form must represent."""

    min: float
    max: float


@dataclass(frozen=True)
class TensorStatistics:
    """Extremes of one tensor, a value a sample: float32 arrays of shape ``(samples,)``."""

    min: Array
    max: Array


Statistics = Mapping[str, TensorStatistics]
"""By tensor name."""


def check_finite(statistics: Statistics) -> None:
    """Refuse statistics that no range can be made from.

    Raises:
        ConversionError: a tensor held NaN or infinity; the first such, in graph order, is named.
    """
    for name, tensor in statistics.items():
        bad = ~(np.isfinite(tensor.min) & np.isfinite(tensor.max))
        if bad.any():
            raise ConversionError(
                f"calibration: {int(bad.sum())} of {bad.size} samples make NaN or infinity "
                f"at {name!r}",
                hint="Run the float model on these samples; look for bad weights or inputs there. "
                "A mask of -inf that is meant can stay float: quantize.modules, method: float.",
            )


def save_statistics(statistics: Statistics, file: Path) -> None:
    """Write one ``.npz``: the names, and two ``(tensors, samples)`` arrays."""
    np.savez(
        file,
        names=np.array(list(statistics), dtype=np.str_),
        min=np.stack([tensor.min for tensor in statistics.values()]),
        max=np.stack([tensor.max for tensor in statistics.values()]),
    )


def load_statistics(file: Path) -> dict[str, TensorStatistics]:
    """Read what ``save_statistics`` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        rows = zip(arrays["names"], arrays["min"], arrays["max"], strict=True)
        return {str(name): TensorStatistics(low, high) for name, low, high in rows}
