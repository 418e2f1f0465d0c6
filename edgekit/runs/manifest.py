"""manifest.json: what went in, what came out, and what made it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.data import Dataset
from edgekit.fetch import tree_sha256
from edgekit.version import __version__

SCHEMA = 1
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
