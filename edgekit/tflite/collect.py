"""Run the calibration samples once and keep the extremes of every activation, by channel where the
graph gives them so; where it gives values too, count them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue

import numpy as np

from edgekit.calibrate.histogram import HistogramBuilder
from edgekit.calibrate.statistics import ChannelExtremes, TensorStatistics
from edgekit.errors import DataError
from edgekit.progress import Task
from edgekit.runtimes.session import Session
from edgekit.tflite.reductions import InstrumentedGraph
from edgekit.types import Array, Sample

_Sides = tuple[Array, Array]


@dataclass(frozen=True)
class _Row:
    """What one sample gave: a value a tensor, then by tensor that gives them so."""

    least: list[float]
    most: list[float]
    channels: list[_Sides]
    values: list[Array]


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

    parted = [i for i, name in enumerate(graph.tensors) if name in graph.by_channel]

    def extremes(sample: Sample) -> _Row:
        session = idle.get()
        try:
            outputs = session.run(sample.feeds)
        finally:
            idle.put(session)
        positions = range(len(graph.tensors))
        low = [outputs[graph.min_output(position)] for position in positions]
        high = [outputs[graph.max_output(position)] for position in positions]
        return _Row(
            [_least(each) for each in low],
            [_most(each) for each in high],
            [(low[position].reshape(-1), high[position].reshape(-1)) for position in parted],
            [outputs[graph.values_output(position)] for position in positions if graph.values],
        )

    rows: list[_Row] = []
    builders = [HistogramBuilder() for _ in graph.tensors if graph.values]
    with ThreadPoolExecutor(len(sessions)) as pool:
        for row in _in_order(pool, extremes, samples, ahead=2 * len(sessions)):
            for builder, some in zip(builders, row.values, strict=True):
                builder.add(some)
            rows.append(replace(row, values=[]))
            task.advance()
    if not rows:
        raise DataError("the calibration dataset gave no sample")
    minima = np.array([row.least for row in rows], dtype=np.float32).T
    maxima = np.array([row.most for row in rows], dtype=np.float32).T
    channels = {
        position: ChannelExtremes(
            np.stack([row.channels[place][0] for row in rows]),
            np.stack([row.channels[place][1] for row in rows]),
        )
        for place, position in enumerate(parted)
    }
    return {
        name: TensorStatistics(
            minima[position],
            maxima[position],
            builders[position].histogram() if graph.values else None,
            channels.get(position),
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
