"""The same inputs on a phone and on this host: what benchmark_model reads and writes, raw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
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


def tensors_by_feed(file: Path) -> dict[str, TensorInfo]:
    """The inputs of ``file`` in its graph's order, under the names they are fed by; each has the
    tensor's own name, as a signature may have another."""
    graph = read_graph(file)
    names = [graph.tensors[index].name for index in graph.inputs]
    with open_session(file) as session:
        return {
            info.name: replace(info, name=name)
            for info, name in zip(session.info.inputs, names, strict=True)
        }


def raw_inputs(
    tensors: Mapping[str, TensorInfo], feeds: Feeds
) -> Iterator[tuple[TensorInfo, bytes]]:
    """Each of ``tensors`` in the shape that it is fed with, and its bytes."""
    for name, info in tensors.items():
        array = np.ascontiguousarray(feeds[name])
        yield replace(info, shape=array.shape), array.tobytes()


def compare_answers(file: Path, inputs: Sequence[Feeds], raw: Sequence[bytes]) -> Answers:
    """``raw`` are all outputs of ``file`` in their order, one after another, for each of
    ``inputs``, beside what LiteRT answers here.

    Raises:
        DeviceError: the sizes do not fit the model.
    """
    with open_session(file) as session:
        names = [info.name for info in session.info.outputs]
        answers = [session.run(feeds) for feeds in inputs]
    here = [[answer[name] for name in names] for answer in answers]
    there = []
    for arrays, content in zip(here, raw, strict=True):
        wanted = sum(array.nbytes for array in arrays)
        if len(content) != wanted:
            raise DeviceError(
                f"the phone answered with {len(content)} bytes, {file.name} gives {wanted}"
            )
        ends = list(accumulate(array.nbytes for array in arrays))
        there.append(
            [
                np.frombuffer(content, array.dtype, array.size, end - array.nbytes)
                for array, end in zip(arrays, ends, strict=True)
            ]
        )
    return compare_arrays(here, there)


def compare_arrays(here: Sequence[Sequence[Array]], there: Sequence[Sequence[Array]]) -> Answers:
    """All outputs for each input, the primary one first, on this host and elsewhere."""
    gaps = [
        _gap(other.astype(np.float64).ravel(), one.ravel())
        for ones, others in zip(here, there, strict=True)
        for one, other in zip(ones, others, strict=True)
    ]
    same = sum(
        int(one[0].argmax() == other[0].argmax()) for one, other in zip(here, there, strict=True)
    )
    largest = max(gaps)
    return Answers(
        n=len(here),
        agreement=same / len(here),
        max_abs=largest if math.isfinite(largest) else None,
        integer=all(array.dtype.kind in "iu" for array in here[0]),
    )


def _gap(there: Array, here: Array) -> float:
    """The largest difference; infinite where only one of the two is a finite number."""
    both = np.isfinite(there) & np.isfinite(here)
    if not np.array_equal(there[~both], here[~both].astype(np.float64), equal_nan=True):
        return math.inf
    return float(np.max(np.abs(there[both] - here[both].astype(np.float64)), initial=0.0))
