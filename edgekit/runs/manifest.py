"""manifest.json: what went in, what came out, and what made it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.version import __version__

SCHEMA = 1
# Whatever can change a byte of the artefact or a digit of the report.
_TOOLS = (
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
    "numpy",
    "pillow",
    "torch",
)


def manifest(
    *,
    recipe: Mapping[str, Any],
    inputs: Mapping[str, Path],
    data: Mapping[str, str],
    outputs: Path,
    seed: int,
    stages: list[dict[str, Any]],
) -> dict[str, Any]:
    """``inputs`` are files by role; ``data`` the datasets' content keys; ``outputs`` the folder."""
    return {
        "schema": SCHEMA,
        "edgekit": __version__,
        "recipe": dict(recipe),
        "seed": seed,
        "inputs": {
            role: {"file": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}
            for role, path in inputs.items()
        },
        "data": dict(data),
        "outputs": {
            path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size}
            for path in sorted(outputs.iterdir())
            if path.is_file()
        },
        "tools": {name: _version(name) for name in _TOOLS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "stages": stages,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
