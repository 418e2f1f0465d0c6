"""Run the calibration samples once and keep the extremes of every activation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgekit.calibrate.statistics import TensorStatistics
from edgekit.errors import DataError
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.tflite.reductions import InstrumentedGraph
from edgekit.types import Sample


def collect_extremes(
    session: Session, graph: InstrumentedGraph, samples: Iterable[Sample], task: Task
) -> dict[str, TensorStatistics]:
    """Extremes by tensor name; ``session`` runs the model in ``graph``.

    Raises:
        DataError: there was no sample at all.
    """
    rows_min: list[list[float]] = []
    rows_max: list[list[float]] = []
    count = len(graph.tensors)
    low = [graph.min_output(position) for position in range(count)]
    high = [graph.max_output(position) for position in range(count)]
    for sample in samples:
        outputs = session.run(sample.feeds)
        # NumPy's own reductions take longer than all else here, so they are kept for rows.
        found = [outputs[name] for name in low]
        rows_min.append([each.item() if each.size == 1 else float(each.min()) for each in found])
        found = [outputs[name] for name in high]
        rows_max.append([each.item() if each.size == 1 else float(each.max()) for each in found])
        task.advance()
    if not rows_min:
        raise DataError("the calibration dataset gave no sample")
    minima = np.array(rows_min, dtype=np.float32).T
    maxima = np.array(rows_max, dtype=np.float32).T
    return {
        name: TensorStatistics(minima[position], maxima[position])
        for position, name in enumerate(graph.tensors)
    }
