"""What a recipe of PyTorch's own methods works on, for edgekit and for the direct calls alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.direct import Job
from benchmarks.job import network_code
from edgekit.data.roles import RunData, open_run_data
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.types import Sample


@dataclass(frozen=True)
class TorchJob:
    """``direct`` is the job in plain values, which ``file`` holds for the direct script; ``labels``
    are those of its evaluation samples, where it has labels."""

    recipe: Recipe
    source: SourceModel
    data: RunData
    direct: Job
    file: Path
    labels: np.ndarray | None


def describe_torch_job(
    recipe_name: str, ways: Mapping[str, int | None], folder: Path, *, labelled: bool
) -> TorchJob:
    """Fetch what the recipe needs, and write weights and samples into ``folder`` as they are fed.

    ``ways`` are the direct script's, each with the count of evaluation samples it is run on (all,
    if ``None``); these are the ``labelled`` ones or those that fidelity is measured on.

    Raises:
        FetchError: a package could not be had.
    """
    import torch

    recipe = load_recipe(recipe_name)
    data = open_run_data(recipe, SilentProgress())
    source = locate(recipe.model, progress=SilentProgress())
    evaluation = data.fidelity
    if labelled:
        if data.labelled is None:
            raise ValueError(f"{recipe_name} has no labelled data")
        evaluation = data.labelled
    weights = folder / "weights.pt"
    torch.save(source.value.state_dict(), weights)
    files = {part: folder / f"{part}.npz" for part in ("calibration", "evaluation")}
    write_samples(files["calibration"], data.calibration)
    labels = write_samples(files["evaluation"], evaluation)
    job: dict[str, Any] = {
        "recipe": recipe_name,
        "network": {**network_code(recipe), "weights": str(weights)},
        "inputs": [[spec.name, spec.layout] for spec in recipe.model.inputs],
        **{part: str(file) for part, file in files.items()},
        "ways": dict(ways),
        "options": _fine_tuning(recipe, data, folder / "training.npz"),
        "threads": len(os.sched_getaffinity(0)),
    }
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    return TorchJob(recipe, source, data, job, file, np.array(labels) if labelled else None)


def _fine_tuning(recipe: Recipe, data: RunData, file: Path) -> dict[str, Any]:
    """Options of the direct ways, for a recipe with fine-tuning: what both sides learn from, for
    how long, and the steps that its first rule leaves to weights."""
    qat, rules = recipe.quantize.qat, recipe.quantize.modules
    if qat is None:
        return {}
    bits = rules[0].weight_bits if rules else None
    limit = 2 ** ((bits or 8) - 1) - 1
    training = {
        "file": str(file),
        "labels": write_samples(file, data.open_training(qat.samples)),
        "input": recipe.model.inputs[0].name,
        "steps": qat.steps,
        "batch": qat.batch,
        "learning_rate": qat.learning_rate,
    }
    return {
        "pt2e": {"per_channel": True, "weight_limit": limit},
        "pt2e_qat": {"training": training, "weight_limit": limit},
    }


def write_samples(file: Path, samples: Iterable[Sample]) -> list[int | None]:
    """The arrays of all samples, [N, ...] an input; returns their labels."""
    columns: dict[str, list[np.ndarray]] = {}
    labels = []
    for sample in samples:
        for name, array in sample.feeds.items():
            columns.setdefault(name, []).append(array)
        labels.append(sample.label)
    whole: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in columns.items()}
    np.savez(file, **whole)
    return labels
