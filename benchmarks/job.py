"""What a recipe asks for, in plain values: the same work for edgekit and for the direct calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgekit.data.dataset import Dataset
from edgekit.data.manifest import load_manifest
from edgekit.data.open import find_dataset
from edgekit.data.roles import open_run_data
from edgekit.fetch import fetch, fetch_first, fetch_package
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe


def describe_job(recipe_name: str) -> dict[str, Any]:
    """The job of a shipped recipe as JSON values; everything it needs is fetched on the way.

    Raises:
        FetchError: a package could not be had.
    """
    recipe = load_recipe(recipe_name)
    data = open_run_data(recipe, SilentProgress())
    if data.labelled is None:
        raise ValueError(f"{recipe_name} has no labelled data: no recipe for this benchmark")
    paths = _paths(recipe.calibration.dataset) | _paths(recipe.evaluate.dataset)
    preprocess, latency = recipe.preprocess, recipe.latency
    assert preprocess.resize is not None
    assert preprocess.crop is not None
    return {
        "recipe": recipe_name,
        "network": {
            **network_code(recipe),
            "weights": str(fetch_first(recipe.model.weights, sha256=recipe.model.sha256)),
        },
        "shape": list(recipe.model.inputs[0].shape),
        "calibration": _samples(data.calibration, paths),
        "crops": _samples(data.fidelity, paths),
        "photos": _samples(data.labelled, paths),
        "labels": [sample.label for sample in data.labelled],
        "preprocess": {
            "shorter_side": preprocess.resize.shorter_side,
            "filter": preprocess.resize.filter,
            "crop": [preprocess.crop.width, preprocess.crop.height],
            "divisor": preprocess.divisor,
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
        },
        "threads": len(os.sched_getaffinity(0)),
        "latency": {
            "threads": latency.threads,
            "rounds": latency.rounds,
            "runs_per_round": latency.runs_per_round,
        },
    }


def network_code(recipe: Recipe) -> dict[str, Any]:
    """Where the network's code is and what to call in it."""
    model = recipe.model
    assert model.factory is not None
    module, _, attribute = model.factory.partition(":")
    folders = [fetch_package(code.source, sha256=code.sha256) for code in model.code]
    if module.startswith("edgekit.zoo."):  # to be imported as a file of its own, without edgekit
        import edgekit.zoo

        folders = [Path(folder) for folder in edgekit.zoo.__path__]
        module = module.rpartition(".")[2]
    return {
        "folders": [str(folder) for folder in folders],
        "module": module,
        "attribute": attribute,
        "arguments": dict(model.factory_args),
    }


def _paths(dataset: str) -> dict[str, str]:
    """File by image id."""
    manifest = load_manifest(find_dataset(dataset))
    return {
        image.id: str(fetch(image.source, sha256=image.sha256, base=manifest.base))
        for image in manifest.images
    }


def _samples(dataset: Dataset, paths: dict[str, str]) -> list[dict[str, Any]]:
    """File and box of every sample: an id is the image's, and behind ``#`` the box it was cut."""
    described = []
    for sample in dataset:
        _, _, box = sample.id.removeprefix(sample.image_id).partition("#")
        described.append(
            {
                "path": paths[sample.image_id],
                "box": [int(end) for end in box.split(",")] if box else None,
            }
        )
    return described
