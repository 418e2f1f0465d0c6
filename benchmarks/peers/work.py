"""What all peers are given: the float model in two formats, the samples, the reference answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from benchmarks.torch_job import write_samples
from edgekit.cache import Cache
from edgekit.conversion import convert_recipe
from edgekit.data.dataset import Dataset
from edgekit.data.open import find_dataset, open_dataset
from edgekit.data.roles import open_run_data
from edgekit.measure.reference import reference_predictions
from edgekit.progress import Progress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.runs.run import usable_cores
from edgekit.sources import locate
from edgekit.types import Role

EVAL, OTHER_CROPS, OTHER_PHOTOS = "eval", "other crops", "other photos"
OTHER_SEED = 1001
OPSET = 13
"""An operator set that every peer reads, onnx-tf too."""
_PHOTOS = Path(__file__).parent / "other_photos.yaml"


@dataclass(frozen=True)
class Evaluation:
    """``reference`` float32 [N, classes]: the model's answers to ``dataset`` in its framework."""

    dataset: Dataset
    input: str
    reference: np.ndarray

    def samples(self) -> np.ndarray:
        """float32 [N, H, W, C]."""
        return np.concatenate([sample.feeds[self.input] for sample in self.dataset])


@dataclass(frozen=True)
class Work:
    """``overrides`` make of the recipe's name what ``recipe`` is; ``job_file`` is the direct
    script's."""

    recipe: Recipe
    overrides: tuple[str, ...]
    floats: Mapping[str, Path]
    job_file: Path
    evaluations: Mapping[str, Evaluation]
    progress: Progress


def prepare(
    recipe_name: str,
    samples: tuple[int, int],
    folder: Path,
    progress: Progress,
    *,
    other: bool,
) -> Work:
    """Convert the recipe's model, write ``samples`` (to calibrate on, to evaluate on), and answer.

    ``other`` adds crops of the same photos by another seed, and crops of photos in no role.

    Raises:
        EdgekitError: something could not be fetched or converted.
    """
    calibrate, evaluate = samples
    overrides = (f"calibration.samples={calibrate}", f"evaluate.samples={evaluate}")
    recipe = load_recipe(recipe_name, [*overrides, f"onnx.opset={OPSET}"])
    cache, floats = Cache(), {}
    for kind, bridge in {"tflite": "litert_torch", "onnx": "torch_onnx"}.items():
        floats[kind] = folder / f"model.float.{kind}"
        convert_recipe(recipe, (bridge,), floats[kind], cache=cache, progress=progress)
    source = locate(recipe.model, progress=progress, cache=cache)
    data = open_run_data(recipe, progress)
    write_samples(folder / "calibration.npz", data.calibration)

    def answered(*datasets: Dataset) -> Iterator[Evaluation]:
        given, _ = reference_predictions(
            source, datasets, threads=usable_cores(), cache=cache, progress=progress
        )
        for dataset, predictions in zip(datasets, given, strict=True):
            reference = predictions.outputs[source.outputs[0]]
            yield Evaluation(dataset, recipe.model.inputs[0].name, reference)

    # Both datasets at once: so that edgekit's command finds its own reference answers cached.
    compared = [data.fidelity] if data.labelled is None else [data.fidelity, data.labelled]
    evaluations = {EVAL: next(answered(*compared))}
    if other:
        manifests = {OTHER_CROPS: _other_seed(recipe, folder), OTHER_PHOTOS: _PHOTOS}
        opened = [_open(recipe, file, progress) for file in manifests.values()]
        evaluations |= dict(zip(manifests, answered(*opened), strict=True))
    job = {
        **{kind: str(file) for kind, file in floats.items()},
        "calibration": str(folder / "calibration.npz"),
        "input": recipe.model.inputs[0].name,
        "threads": usable_cores(),
    }
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job))
    return Work(recipe, overrides, floats, job_file, evaluations, progress)


def _other_seed(recipe: Recipe, folder: Path) -> Path:
    """The recipe's manifest, its eval crops cut by a seed that nothing was looked at with."""
    manifest = yaml.safe_load(find_dataset(recipe.evaluate.dataset).read_text(encoding="utf-8"))
    manifest["crops"][Role.EVAL.value]["seed"] = OTHER_SEED
    file = folder / "other_crops.yaml"
    file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return file


def _open(recipe: Recipe, manifest: Path, progress: Progress) -> Dataset:
    return open_dataset(
        str(manifest),
        role=Role.EVAL,
        preprocess=recipe.preprocess,
        inputs=recipe.model.inputs,
        samples=recipe.evaluate.samples,
        progress=progress,
    )
