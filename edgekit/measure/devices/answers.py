"""The same inputs on a phone and on this host: what benchmark_model reads and writes, raw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.errors import DeviceError
from edgekit.measure.devices.device import Answers
from edgekit.runtimes import open_session
from edgekit.runtimes.session import SessionInfo
from edgekit.tflite.graph import read_graph
from edgekit.types import Array, Feeds, TensorInfo


def random_inputs(info: SessionInfo, count: int, *, seed: int = 0) -> tuple[Feeds, ...]:
    """Inputs for a model of which nothing is known: integers all over their type where they are
    quantized (0 or 1 where they count or name something), floats in [-1, 1)."""
    rng = np.random.default_rng(seed)
    return tuple({each.name: _random(rng, each) for each in info.inputs} for _ in range(count))


def _random(rng: np.random.Generator, info: TensorInfo) -> Array:
    dtype = np.dtype(info.dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, info.shape).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (0, 1) if info.quant is None else (limits.min, limits.max)
        return rng.integers(low, high, info.shape, dtype, endpoint=True)
    return rng.uniform(-1, 1, info.shape).astype(dtype)


def raw_inputs(file: Path, feeds: Feeds) -> Iterator[tuple[TensorInfo, bytes]]:
    """Each input with the tensor's own name (a signature may have another), and its bytes."""
    graph = read_graph(file)
    names = [graph.tensors[index].name for index in graph.inputs]
    with open_session(file) as session:
        for info, name in zip(session.info.inputs, names, strict=True):
            array = np.ascontiguousarray(feeds[info.name])
            yield replace(info, name=name, shape=array.shape), array.tobytes()


def compare_answers(file: Path, inputs: Sequence[Feeds], raw: Sequence[bytes]) -> Answers:
    """``raw`` are all outputs of ``file`` in their order, one after another, for each of
    ``inputs``, beside what LiteRT answers here.

    Raises:
        DeviceError: the sizes do not fit the model.
    """
    same, largest, integer = 0, 0.0, True
    with open_session(file) as session:
        for feeds, content in zip(inputs, raw, strict=True):
            here = [session.run(feeds)[info.name] for info in session.info.outputs]
            wanted = sum(array.nbytes for array in here)
            if len(content) != wanted:
                raise DeviceError(
                    f"the phone answered with {len(content)} bytes, {file.name} gives {wanted}"
                )
            start = 0
            for number, array in enumerate(here):
                there = np.frombuffer(content, array.dtype, array.size, start)
                start += array.nbytes
                largest = max(largest, _gap(there.astype(np.float64), array.ravel()))
                integer &= array.dtype.kind in "iu"
                if number == 0:
                    same += int(there.argmax() == array.argmax())
    return Answers(
        n=len(raw),
        agreement=same / len(raw),
        max_abs=largest if math.isfinite(largest) else None,
        integer=integer,
    )


def _gap(there: Array, here: Array) -> float:
    """The largest difference; infinite where only one of the two is a finite number."""
    both = np.isfinite(there) & np.isfinite(here)
    if not np.array_equal(there[~both], here[~both].astype(np.float64), equal_nan=True):
        return math.inf
    return float(np.max(np.abs(there[both] - here[both].astype(np.float64)), initial=0.0))
