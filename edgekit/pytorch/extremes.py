"""Observers that keep each sample's extremes, so that ranges come from ``edgekit.calibrate``.

PyTorch's own observers decide on a range while they watch, and the default one (a histogram) costs
more than the network does. These keep two numbers a sample, and a subset of its values where an
estimator needs them; the range is estimated afterwards and given back with ``set_ranges``, before
conversion asks for scale and zero point.

Imports torch; methods import it when they prepare a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.ao.quantization.observer import UniformQuantizationObserverBase

from edgekit.calibrate.histogram import HistogramBuilder
from edgekit.calibrate.statistics import Range, TensorStatistics
from edgekit.calibrate.subset import stride
from edgekit.errors import ConversionError
from edgekit.progress import Task, track
from edgekit.types import Sample

# Symmetric by definition; the others may have any zero point.
_SYMMETRIC = (torch.per_tensor_symmetric, torch.per_channel_symmetric)
MIN_SCALE = float(torch.finfo(torch.float32).tiny) * 2**24
"""Of a tensor that is always zero. Far below any real scale, and its inverse is still finite."""


class SampleExtremes:
    """What the observers of either library share. Put it before an ``ObserverBase`` that has
    ``qscheme``, ``quant_min`` and ``quant_max``.

    A tensor that is observed several times in one sample (an observer shared by several tensors, a
    module that is called twice) counts once, by the extremes of all.
    """

    qscheme: torch.qscheme
    quant_min: int
    quant_max: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seen: list[tuple[float, float]] = []
        self._current: list[torch.Tensor] = []
        self._values: HistogramBuilder | None = None
        self._range: Range | None = None

    def count_values(self) -> None:
        """From now on keep a histogram too."""
        self._values = HistogramBuilder()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Note the extremes of ``x``, of any shape, and pass it on unchanged."""
        if x.numel() and self._range is None:
            dense = _dense(x.detach())
            self._current += torch.aminmax(dense)
            if self._values is not None:
                some = dense.reshape(-1)[:: stride(x.numel())]
                # A copy: what is observed may be overwritten, and would be kept whole.
                self._values.add(some.numpy().copy())
        return x

    def end_sample(self) -> None:
        """What was observed since the last call belongs to one sample."""
        if self._current:
            # min() and max() of Python would lose a NaN.
            values = torch.stack(self._current)
            self._seen.append((float(values.min()), float(values.max())))
            self._current = []

    def statistics(self) -> TensorStatistics | None:
        """Of all samples that came by; ``None`` if none did."""
        if not self._seen:
            return None
        low, high = np.array(self._seen, dtype=np.float32).T
        counted = None if self._values is None else self._values.histogram()
        return TensorStatistics(min=low, max=high, histogram=counted)

    @property
    def range(self) -> Range | None:
        """What ``set_range`` gave it."""
        return self._range

    def set_range(self, limits: Range) -> None:
        """From now on scale and zero point are those of ``limits``."""
        self._range = limits

    def calculate_qparams(self, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale (float32) and zero point (int64), each of shape ``(1,)``: see ``qparams``.

        Raises:
            ConversionError: no range was set.
        """
        if self._range is None:
            raise ConversionError("an observer was asked for its scale before it had a range")
        scale, zero_point = qparams(
            self._range, self.quant_min, self.quant_max, symmetric=self.qscheme in _SYMMETRIC
        )
        return torch.tensor([scale], dtype=torch.float32), torch.tensor([zero_point])


class ExtremesObserver(SampleExtremes, UniformQuantizationObserverBase):
    """The observer for FX graph mode (``torch.ao``), per tensor."""


def qparams(limits: Range, quant_min: int, quant_max: int, *, symmetric: bool) -> tuple[float, int]:
    """Scale and zero point that let ``quant_min`` to ``quant_max`` stand for ``limits`` and zero.

    Zero is always represented exactly: paddings are zeros.
    """
    low, high = min(limits.min, 0.0), max(limits.max, 0.0)
    if symmetric:
        scale = max(-low, high) / ((quant_max - quant_min) / 2)
        return max(scale, MIN_SCALE), (quant_min + quant_max + 1) // 2
    scale = max((high - low) / (quant_max - quant_min), MIN_SCALE)
    zero_point = quant_min - round(low / scale)
    return scale, min(max(zero_point, quant_min), quant_max)


def collect_extremes(
    observers: Mapping[str, SampleExtremes],
    run: Callable[[Sample], object],
    samples: Iterable[Sample],
    task: Task,
    *,
    values: bool = False,
) -> dict[str, TensorStatistics]:
    """Run every sample through the model that holds ``observers`` (by a name to report them by).

    With ``values`` there are histograms.

    Raises:
        ConversionError: an observer saw no data; it is named.
    """
    for observer in observers.values() if values else ():
        observer.count_values()
    with torch.inference_mode():
        for sample in track(samples, task):
            run(sample)
            for observer in observers.values():
                observer.end_sample()
    found = {name: observer.statistics() for name, observer in observers.items()}
    blind = [name for name, statistics in found.items() if statistics is None]
    if blind:
        more = f" and {len(blind) - 3} more" if len(blind) > 3 else ""
        raise ConversionError(
            f"calibration: no sample reached {', '.join(map(repr, blind[:3]))}{more}",
            hint="Calibrate on samples that take every branch of the model, or leave these modules "
            "float: quantize.modules, method: float.",
        )
    return {name: statistics for name, statistics in found.items() if statistics is not None}


def set_ranges(observers: Mapping[str, SampleExtremes], ranges: Mapping[str, Range]) -> None:
    """Give every observer the range of its name."""
    for name, observer in observers.items():
        observer.set_range(ranges[name])


def ranges_of(observers: Mapping[str, SampleExtremes]) -> dict[str, Range]:
    """The ranges that ``set_ranges`` gave, by the same names."""
    return {
        name: observer.range for name, observer in observers.items() if observer.range is not None
    }


def _dense(x: torch.Tensor) -> torch.Tensor:
    # A reduction over all of a channels-last tensor copies it first, unless its axes are in order.
    if x.dim() == 4 and not x.is_contiguous():
        return x.permute(0, 2, 3, 1)
    return x
