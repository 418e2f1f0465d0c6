"""What one pass over the calibration samples leaves behind, whatever ran the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.calibrate.histogram import Histogram
from edgekit.errors import ConversionError
from edgekit.types import Array


@dataclass(frozen=True)
class Range:
    """The real values a tensor's quantized form must represent."""

    min: float
    max: float


@dataclass(frozen=True)
class ChannelExtremes:
    """Extremes of one tensor by channel, its last axis: float32 arrays ``(samples, channels)``."""

    min: Array
    max: Array

    @property
    def widest(self) -> Array:
        """The largest magnitude of each channel over all samples, ``(channels,)``."""
        found: Array = np.maximum(np.abs(self.min), np.abs(self.max)).max(axis=0)
        return found


@dataclass(frozen=True)
class TensorStatistics:
    """Extremes of one tensor, a value a sample: float32 arrays of shape ``(samples,)``.

    ``histogram`` counts the same subset of every sample's values, where an estimator asked for it;
    ``channels`` are there for tensors that were asked for by channel.
    """

    min: Array
    max: Array
    histogram: Histogram | None = None
    channels: ChannelExtremes | None = None

    @property
    def exact(self) -> Range:
        """What was seen, over all samples."""
        return Range(min=float(self.min.min()), max=float(self.max.max()))

    @property
    def counted(self) -> Histogram:
        """The histogram, by one who needs it.

        Raises:
            ValueError: none was collected.
        """
        if self.histogram is None:
            raise ValueError("an estimator that needs a histogram was given extremes alone")
        return self.histogram

    @property
    def by_channel(self) -> ChannelExtremes:
        """The extremes by channel, by one who needs them.

        Raises:
            ValueError: none were collected.
        """
        if self.channels is None:
            raise ValueError("extremes by channel were not collected")
        return self.channels

    def with_channels_times(self, factor: Array) -> TensorStatistics:
        """The statistics once each channel is multiplied by its positive ``factor``, float32
        ``(channels,)``; the histogram is of other values, and gone."""
        channels = self.by_channel
        scaled = ChannelExtremes(channels.min * factor, channels.max * factor)
        return TensorStatistics(scaled.min.min(axis=1), scaled.max.max(axis=1), channels=scaled)


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
    """Write one ``.npz``: the names, and two ``(tensors, samples)`` arrays; where histograms or
    channels were collected, these too, one behind the other."""
    arrays: dict[str, Array] = {
        "names": np.array(list(statistics), dtype=np.str_),
        "min": np.stack([tensor.min for tensor in statistics.values()]),
        "max": np.stack([tensor.max for tensor in statistics.values()]),
    }
    if any(tensor.histogram is not None for tensor in statistics.values()):
        histograms = [tensor.counted for tensor in statistics.values()]
        arrays |= {
            "exponents": np.array([one.exponent for one in histograms]),
            "lengths": np.array([one.bins.size for one in histograms]),
            "bins": np.concatenate([one.bins for one in histograms]),
            "counts": np.concatenate([one.counts for one in histograms]),
        }
    if any(tensor.channels is not None for tensor in statistics.values()):
        none = np.empty((len(arrays["min"][0]), 0), np.float32)
        parted = [tensor.channels or ChannelExtremes(none, none) for tensor in statistics.values()]
        arrays |= {
            "channels": np.array([one.min.shape[1] for one in parted]),
            "channel_min": np.concatenate([one.min for one in parted], axis=1),
            "channel_max": np.concatenate([one.max for one in parted], axis=1),
        }
    np.savez(file, allow_pickle=False, **arrays)


def load_statistics(file: Path) -> dict[str, TensorStatistics]:
    """Read what ``save_statistics`` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["names"]]
        histograms: Iterable[Histogram | None] = [None] * len(names)
        if "lengths" in arrays:
            ends = np.cumsum(arrays["lengths"])[:-1]
            bins, counts = (np.split(arrays[key], ends) for key in ("bins", "counts"))
            histograms = map(Histogram, arrays["exponents"].tolist(), bins, counts)
        parted: Iterable[ChannelExtremes | None] = [None] * len(names)
        if "channels" in arrays:
            ends = np.cumsum(arrays["channels"])[:-1]
            sides = (np.split(arrays[key], ends, axis=1) for key in ("channel_min", "channel_max"))
            parted = [
                ChannelExtremes(low, high) if low.size else None
                for low, high in zip(*sides, strict=True)
            ]
        rows = zip(names, arrays["min"], arrays["max"], histograms, parted, strict=True)
        return {name: TensorStatistics(*tensor) for name, *tensor in rows}
