"""Write IDX files, right and wrong ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array: Any, shape: tuple[int, ...] | None = None) -> bytes:
    """``array`` as IDX; ``shape`` is what the header says instead of the truth."""
    array = np.asarray(array)
    shape = array.shape if shape is None else shape
    head = bytes([0, 0, TYPES[array.dtype.name], len(shape)])
    head += struct.pack(f">{len(shape)}I", *shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path: Path, array: Any) -> Path:
    """Packed where the name ends in ``.gz``."""
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def pictures(count: int, seed: int = 0, size: tuple[int, ...] = (6, 5)) -> Any:
    """uint8 ``[count, *size]`` of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size), np.uint8)
