"""manifest.json: what went in, what came out, and what made it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.data import Dataset
from edgekit.errors import UsageError, Where
from edgekit.fetch import tree_sha256
from edgekit.recipe.load import validated
from edgekit.recipe.schema import Recipe
from edgekit.recipe.yaml_source import Document, Place
from edgekit.version import __version__

SCHEMA = 1
FILE = "manifest.json"
# Whatever can change a byte of the artefact or a digit of the report.
_TOOLS = (
    "ai-edge-litert",
    "ai-edge-quantizer",
    "keras",
    "litert-torch",
    "numpy",
    "pillow",
    "tensorflow",
    "tf-keras",
    "tokenizers",
    "torch",
    "torchao",
    "transformers",
)


def manifest(
    *,
    recipe: Mapping[str, Any],
    inputs: Mapping[str, Path],
    data: Mapping[str, Dataset],
    outputs: Path,
    seed: int,
    stages: list[dict[str, Any]],
) -> dict[str, Any]:
    """``inputs`` are files and folders by role, ``data`` datasets by use, ``outputs`` the run.

    An image, or a row of an array, is named by the sha256 of its content.
    """
    return {
        "schema": SCHEMA,
        "edgekit": __version__,
        "recipe": dict(recipe),
        "seed": seed,
        "inputs": {role: {"file": path.name, **_file(path)} for role, path in inputs.items()},
        "data": {
            use: {"fingerprint": dataset.fingerprint, "images": dict(dataset.images)}
            for use, dataset in data.items()
        },
        "outputs": {path.name: _file(path) for path in sorted(outputs.iterdir())},
        "tools": {name: _version(name) for name in _TOOLS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "stages": stages,
    }


def recipe_of_run(folder: Path) -> Recipe:
    """The recipe that the run in ``folder`` was made by, as it was resolved then.

    Raises:
        UsageError: no run folder, or a manifest that cannot be read.
        RecipeError: a recipe that this edgekit takes no more.
    """
    file = folder / FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["recipe"]
    except OSError as error:
        raise UsageError(
            f"{folder} is no run folder: it has no readable {FILE}",
            hint="Give the folder that edgekit quantize made, or the files themselves.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"not a manifest of a run: {error}",
            hint="Give the folder that edgekit quantize made, or the files themselves.",
            where=Where(str(file)),
        ) from error
    return validated(Document(found, {(): Place(str(file))}))


def _file(path: Path) -> dict[str, Any]:
    """Of a folder, such as a SavedModel, the hash over its files and their sum."""
    if path.is_dir():
        size_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return {"sha256": tree_sha256(path), "bytes": size_bytes}
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
