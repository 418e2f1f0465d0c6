"""Messages between a ChildSession and its worker: a JSON header, then the arrays' raw bytes.

::

    4 bytes   length of the header, little endian
    8 bytes   length of the payload
    header    JSON object; "arrays" lists [name, dtype, shape] in payload order
    payload   the arrays, C order, one after the other

No pickle: a worker that went wrong can send wrong numbers, not code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from edgekit.errors import UsageError
from edgekit.types import Array

PREFIX = struct.Struct("<IQ")


@dataclass(frozen=True)
class Message:
    """``kind`` is the verb or the answer, ``fields`` any JSON values, ``arrays`` by name."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


def encode(message: Message) -> list[memoryview]:
    """The message's bytes as chunks to write in order; array memory is not copied.

    Raises:
        UsageError: an array of Python objects.
    """
    chunks: list[memoryview] = []
    listed = []
    for name, given in message.arrays.items():
        array = np.asarray(given)
        if array.dtype.hasobject:
            raise UsageError(f"'{name}' holds Python objects, not numbers")
        solid = np.ascontiguousarray(array).reshape(array.shape)
        listed.append([name, solid.dtype.str, list(solid.shape)])
        if solid.size:
            chunks.append(solid.reshape(-1).view(np.uint8).data)
    header = {"kind": message.kind, "fields": dict(message.fields), "arrays": listed}
    text = json.dumps(header).encode()
    prefix = PREFIX.pack(len(text), sum(chunk.nbytes for chunk in chunks))
    return [memoryview(prefix + text), *chunks]


def decode(header: bytes | bytearray, payload: bytearray) -> Message:
    """A message from its two parts. The arrays share the payload's memory.

    Raises:
        ValueError: the bytes are not a message.
    """
    parsed = json.loads(header)
    arrays: dict[str, Array] = {}
    offset = 0
    for name, dtype_name, shape in parsed["arrays"]:
        dtype, count = np.dtype(dtype_name), prod(shape)
        arrays[name] = np.frombuffer(payload, dtype, count, offset).reshape(shape)
        offset += count * dtype.itemsize
    if offset != len(payload):
        raise ValueError(f"{len(payload)} bytes of arrays where {offset} were announced")
    return Message(parsed["kind"], parsed["fields"], arrays)
