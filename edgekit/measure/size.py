"""Size of the artefact against the float model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import UsageError


@dataclass(frozen=True)
class Size:
    """Bytes on disk; ``ratio`` is ``bytes / float_bytes``."""

    float_bytes: int
    bytes: int
    ratio: float


def measure_size(float_model: Path, artefact: Path) -> Size:
    """Compare two model files.

    Raises:
        UsageError: one of them is missing, or the float model is empty.
    """
    float_bytes, size_bytes = _file_bytes(float_model), _file_bytes(artefact)
    if float_bytes == 0:
        raise UsageError(f"the float model {float_model} is empty")
    return Size(float_bytes, size_bytes, size_bytes / float_bytes)


def _file_bytes(path: Path) -> int:
    if not path.is_file():
        raise UsageError(f"no such model file: {path}")
    return path.stat().st_size
