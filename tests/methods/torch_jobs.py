"""A quantization job on a PyTorch module made in the test."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.cache import Cache
from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QuantizeSpec
from edgekit.runtimes.predict import predict
from edgekit.runtimes.session import Session
from edgekit.runtimes.torch_module import TorchSession
from edgekit.sources.source import SourceModel
from edgekit.types import Array, ModelKind, Role

TOKENS = 50
"""Values of an integer input are below this."""


def torch_job(
    module: torch.nn.Module,
    folder: Path,
    *,
    method: str,
    inputs: tuple[InputSpec, ...],
    progress: Progress | None = None,
    **options: Any,
) -> QuantizeJob:
    """``module`` with one output and 20 random calibration samples, in ``folder``."""
    source = torch_source(module.eval(), inputs)
    (folder / "run").mkdir(parents=True)
    return QuantizeJob(
        model=source,
        goal=Goal(source.outputs[0], classification=True),
        options=QuantizeSpec(method=method, **options),
        calibration=random_samples(folder, inputs),
        open_dev=_unexpected,
        open_training=_unexpected,
        folder=folder / "run",
        cache=Cache(folder / "cache"),
        progress=progress or SilentProgress(),
        threads=1,
    )


def torch_source(module: torch.nn.Module, inputs: tuple[InputSpec, ...]) -> SourceModel:
    """``module`` as it comes from a recipe's factory."""
    stream = io.BytesIO()
    torch.save(module.state_dict(), stream)
    return SourceModel(
        kind=ModelKind.TORCH_MODULE,
        inputs=inputs,
        outputs=("output",),
        fingerprint=hashlib.sha256(stream.getvalue()).hexdigest(),
        files={},
        loader=lambda: module,
        opener=lambda source, threads: TorchSession(
            source.value, source.inputs, source.outputs, threads
        ),
    )


def random_samples(folder: Path, inputs: tuple[InputSpec, ...], rows: int = 40) -> ArrayDataset:
    """Half of ``rows`` random inputs, in the calibration role."""
    random = np.random.default_rng(0)
    arrays = {}
    for spec in inputs:
        shape = (rows, *spec.shape[1:])
        if spec.dtype == "float32":
            arrays[spec.name] = random.normal(size=shape).astype(np.float32)
        else:
            arrays[spec.name] = random.integers(0, TOKENS, shape).astype(spec.dtype)
    np.savez(folder / "inputs.npz", **arrays)
    preprocess = PreprocessSpec(kind="arrays")
    return open_arrays(folder / "inputs.npz", Role.CALIBRATION, inputs, preprocess, None)


def answers(session: Session, job: QuantizeJob) -> Array:
    """The output for every calibration sample."""
    with session:
        return predict(session, job.calibration).outputs["output"]


def sqnr_db(wanted: Array, found: Array) -> float:
    """Signal to noise of ``found``, pooled."""
    noise = np.square(wanted.astype(np.float64) - found).sum()
    return float(10 * np.log10(np.square(wanted.astype(np.float64)).sum() / noise))


def _unexpected(*args: Any) -> ArrayDataset:
    raise AssertionError("this method chooses and learns nothing")
