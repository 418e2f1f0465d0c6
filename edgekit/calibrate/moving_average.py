"""Each sample's extremes, averaged with a memory that fades, as PyTorch's observer does it
(``torch.ao.quantization.MovingAverageMinMaxObserver``).

The order of the samples counts: the first is where the average starts. PyTorch moves by 0.01 a
batch, which suits thousands of them; after 100 samples the first alone would still make 37 % of
the range. Here it is ``MOMENTUM``, which leaves the first 0.6 % by then.
"""

from __future__ import annotations

from edgekit.calibrate.statistics import Range, TensorStatistics
from edgekit.types import Array

MOMENTUM = 0.05


def moving_average(statistics: TensorStatistics) -> Range:
    return Range(min=_faded(statistics.min), max=_faded(statistics.max))


def _faded(values: Array) -> float:
    average, *later = values.tolist()
    for value in later:
        average += MOMENTUM * (value - average)
    return float(average)
