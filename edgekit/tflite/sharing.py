"""A flatbuffer builder that writes equal vectors once.

Every channel of every quantized weight and bias has a zero point of 8 bytes, always 0: in a small
network a fifth of the file, unless tensors of as many channels point to the same vector. Readers
follow an offset and cannot tell.
"""

from __future__ import annotations

import flatbuffers

from edgekit.types import Array


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """As ``flatbuffers.Builder``; what it shares are vectors of numbers."""

    def __init__(self, initial_bytes: int):
        super().__init__(initial_bytes)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Array) -> int:
        """The offset of a vector that holds ``x``; ``x`` has one axis."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]
