"""The IDX format of MNIST and its kin: two zero bytes, element type, number of axes, each axis'
length as a big-endian uint32, then the elements; plain, or gzip around the whole."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from edgekit.errors import DataError
from edgekit.types import Array

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 22
MAX_GZIP_BYTES = 1 << 31
"""A gzip file is unpacked into memory, up to this size; a plain one stays on disk."""


def read_idx(path: Path) -> Array:
    """The array in ``path``, read-only, in the file's own element type and shape.

    Raises:
        DataError: not IDX, shorter or longer than its header says, damaged, or unreadable.
    """
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == _GZIP
        if packed:
            with gzip.open(path) as unpacked:
                return _read_all(unpacked, path)
        with path.open("rb") as stream:
            return _map(stream, path)
    except EOFError as cause:
        raise DataError(f"{path} ends early: its gzip data is cut off") from cause
    except (OSError, zlib.error) as cause:  # gzip's own error is an OSError
        reason = getattr(cause, "strerror", None) or str(cause)
        raise DataError(f"{path} cannot be read: {reason}") from cause


def _read_all(stream: IO[bytes] | gzip.GzipFile, path: Path) -> Array:
    dtype, shape, _ = _header(stream, path)
    promised = math.prod(shape) * dtype.itemsize
    if promised > MAX_GZIP_BYTES:
        raise DataError(
            f"{path} holds {promised} bytes, too many to unpack into memory",
            hint="Unpack it with gunzip and name the plain file, which is read piece by piece.",
        )
    data = bytearray()
    while chunk := stream.read(min(_CHUNK_BYTES, promised + 1 - len(data))):
        data += chunk
    _check_length(len(data), promised, shape, path)
    array = np.frombuffer(data, dtype).reshape(shape)
    array.setflags(write=False)
    return array


def _map(stream: IO[bytes], path: Path) -> Array:
    dtype, shape, offset = _header(stream, path)
    promised = math.prod(shape) * dtype.itemsize
    _check_length(path.stat().st_size - offset, promised, shape, path)
    return np.memmap(path, dtype, mode="r", offset=offset, shape=shape)


def _header(
    stream: IO[bytes] | gzip.GzipFile, path: Path
) -> tuple[np.dtype[np.generic], tuple[int, ...], int]:
    """Element type, shape and the header's length in bytes."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= 4:
        raise DataError(
            f"{path} is not an IDX file: it starts with {start.hex(' ') or 'nothing'}",
            hint="An IDX file of images starts with 00 00 08 03, one of labels with 00 00 08 01.",
        )
    lengths = stream.read(4 * start[3])
    if len(lengths) < 4 * start[3]:
        raise DataError(f"{path} ends early: its header is cut off")
    shape = struct.unpack(f">{start[3]}I", lengths)
    if 0 in shape:
        raise DataError(f"{path} is empty: its header says {list(shape)}")
    return np.dtype(_TYPES[start[2]]), shape, 4 + len(lengths)


def _check_length(found: int, promised: int, shape: tuple[int, ...], path: Path) -> None:
    if found != promised:
        how = "ends early" if found < promised else "goes on after its end"
        raise DataError(
            f"{path} {how}: its header says {list(shape)}, which are {promised} bytes",
            hint="Get the file again.",
        )
