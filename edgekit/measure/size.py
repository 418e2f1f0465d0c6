"""Size of the artefact against the float model's."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import UsageError


@dataclass(frozen=True)
class Size:
    """Bytes on disk; ``ratio`` is ``bytes / float_bytes``."""

    float_bytes: int
    bytes: int
    ratio: float


def compare_size(float_bytes: int, size_bytes: int) -> Size:
    """Compare the bytes of two models.

    Raises:
        UsageError: the float model is empty.
    """
    if float_bytes == 0:
        raise UsageError("the float model has no bytes to compare with")
    return Size(float_bytes, size_bytes, size_bytes / float_bytes)
