"""Run the calibration samples once and keep the extremes of every activation; where the graph
gives values too, count them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from edgekit.calibrate.histogram import HistogramBuilder
from edgekit.calibrate.statistics import TensorStatistics
from edgekit.errors import DataError
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.tflite.reductions import InstrumentedGraph
from edgekit.types import Array, Sample

_Row = tuple[list[float], list[float], list[Array]]


def collect_extremes(
    sessions: Sequence[Session], graph: InstrumentedGraph, samples: Iterable[Sample], task: Task
) -> dict[str, TensorStatistics]:
    """Statistics by tensor name; ``sessions`` all run the model in ``graph`` and share the samples.

    There are histograms where ``graph`` has values.

    What is found depends on neither their number nor their threads.

    Raises:
        DataError: there was no sample at all.
    """
    idle: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        idle.put(session)

    def extremes(sample: Sample) -> _Row:
        session = idle.get()
        try:
            outputs = session.run(sample.feeds)
        finally:
            idle.put(session)
        positions = range(len(graph.tensors))
        return (
            [_least(outputs[graph.min_output(position)]) for position in positions],
            [_most(outputs[graph.max_output(position)]) for position in positions],
            [outputs[graph.values_output(position)] for position in positions if graph.values],
        )

    rows: list[tuple[list[float], list[float]]] = []
    builders = [HistogramBuilder() for _ in graph.tensors if graph.values]
    with ThreadPoolExecutor(len(sessions)) as pool:
        for least, most, values in _in_order(pool, extremes, samples, ahead=2 * len(sessions)):
            rows.append((least, most))
            for builder, some in zip(builders, values, strict=True):
                builder.add(some)
            task.advance()
    if not rows:
        raise DataError("the calibration dataset gave no sample")
    minima, maxima = (np.array(side, dtype=np.float32).T for side in zip(*rows, strict=True))
    return {
        name: TensorStatistics(
            minima[position],
            maxima[position],
            builders[position].histogram() if graph.values else None,
        )
        for position, name in enumerate(graph.tensors)
    }


def _least(left: Array) -> float:
    # NumPy's own reductions, of single values, would take longer than all else here.
    return float(left.item() if left.size == 1 else left.min())


def _most(left: Array) -> float:
    return float(left.item() if left.size == 1 else left.max())


def _in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[Sample], _Row],
    samples: Iterable[Sample],
    *,
    ahead: int,
) -> Iterator[_Row]:
    """``map``, but no more than ``ahead`` samples are in memory at a time."""
    running: deque[Future[_Row]] = deque()
    for sample in samples:
        running.append(pool.submit(function, sample))
        if len(running) == ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
