"""Samples in a temporary file, so that only those that are wanted come to memory."""

from __future__ import annotations

import hashlib
from typing import IO, Any

import numpy as np

from edgekit.data.stream_elements import Row


class Spool:
    """``file`` is open for both ways; ``names`` and ``hashes`` are in order of arrival."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._forms: list[tuple[int, dict[str, tuple[np.dtype[Any], tuple[int, ...]]]]] = []
        self._labels: list[int | None] = []
        self.names: list[str] = []
        self.hashes: list[str] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, row: Row) -> None:
        digest = hashlib.sha256()
        forms = {}
        start = self.bytes
        for key, value in row.arrays.items():
            data = np.ascontiguousarray(value).tobytes()
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(data)
            self._file.write(data)
            self.bytes += len(data)
            forms[key] = (value.dtype, value.shape)
        self._forms.append((start, forms))
        self._labels.append(row.label)
        self.names.append(name)
        self.hashes.append(digest.hexdigest())

    def row(self, place: int) -> Row:
        start, forms = self._forms[place]
        self._file.seek(start)
        arrays = {}
        for key, (dtype, shape) in forms.items():
            data = self._file.read(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
            arrays[key] = np.frombuffer(data, dtype).reshape(shape)
        return Row(arrays, self._labels[place])
