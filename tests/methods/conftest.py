"""A quantization job on a tiny model: everything a method is given, nothing it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QuantizeSpec
from edgekit.sources.tflite import float_tflite
from edgekit.tflite.graph import parse_graph
from edgekit.types import Role
from tests import tflite_models as models

MakeJob = Callable[..., QuantizeJob]


def samples(
    folder: Path,
    name: str = "x",
    rows: int = 80,
    seed: int = 0,
    shape: tuple[int, ...] = models.INPUT_SHAPE,
    role: Role = Role.CALIBRATION,
) -> ArrayDataset:
    """Half of ``rows`` random inputs, of the tiny network unless another ``shape`` is given."""
    file = folder / "inputs.npz"
    values = np.random.default_rng(seed).normal(size=(rows, *shape[1:]))
    np.savez(file, **{name: values.astype(np.float32)})
    spec = InputSpec(name, shape, "float32", "NHWC")
    return open_arrays(file, role, (spec,), PreprocessSpec(kind="arrays"), None)


def _no_dev() -> ArrayDataset:
    raise AssertionError("this method chooses nothing")


def _no_training(samples: int) -> ArrayDataset:
    raise AssertionError("this method learns nothing")


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """``make_job(data, input_dtype="uint8", ...)``; each job has a folder and a cache of its own,
    unless it is given ``cache``."""
    count = 0

    def make(
        data: bytes,
        *,
        cache: Cache | None = None,
        threads: int = 1,
        calibration: Any = None,
        progress: Progress | None = None,
        open_dev: Callable[[], Any] = _no_dev,
        goal: Goal | None = None,
        **options: Any,
    ) -> QuantizeJob:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        file = folder / "model.float.tflite"
        file.write_bytes(data)
        graph = parse_graph(data)
        inputs = tuple(
            InputSpec(name, graph.tensors[index].shape, "float32", "NHWC")
            for name, index in zip(graph.input_names, graph.inputs, strict=True)
        )
        return QuantizeJob(
            model=float_tflite(file, inputs, graph.output_names),
            goal=goal or Goal(graph.output_names[-1], classification=True),
            options=QuantizeSpec(method="litert_static", **options),
            calibration=samples(folder) if calibration is None else calibration,
            open_dev=open_dev,
            open_training=_no_training,
            folder=folder,
            cache=cache or Cache(folder / "cache"),
            progress=progress or SilentProgress(),
            threads=threads,
        )

    return make
