"""The result file of benchmark_model (``--result_file_path``), which builds since 2025 can write.

One message of numbers: tensorflow/lite/tools/benchmark/proto/benchmark_result.proto, in LiteRT
tflite/tools/benchmark/proto. It is decoded here by hand, after protobuf.dev's "Encoding": fields
that are not known, as newer builds add, are passed over. The text stays what is read first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace

from edgekit.measure.devices.benchmark_log import BenchmarkLog, Timing

SAVED = "Saved benchmark result to: "
"""What a build prints that has written the file."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOATS_OF_LATENCY = (
    "avg_ms", "min_ms", "max_ms", "stddev_ms", "median_ms", "p5_ms", "p95_ms", "init_ms",
    "first_inference_ms", "average_warm_up_ms",
)  # fmt: skip
_Fields = Mapping[int, tuple[str, int]]
# By number of the field in BenchmarkResult: its fields, by number, with their wire types.
_MESSAGES: Mapping[int, _Fields] = {
    2: {number: (name, _FIXED32) for number, name in enumerate(_FLOATS_OF_LATENCY, start=1)},
    3: {
        1: ("init_footprint_kb", _VARINT),
        2: ("overall_footprint_kb", _VARINT),
        3: ("peak_mem_mb", _FIXED32),
    },
    4: {2: ("num_runs", _VARINT), 3: ("num_warmup_runs", _VARINT)},
}


def decode_result(data: bytes) -> dict[str, float]:
    """The numbers of a BenchmarkResult by the names of their fields; those not set, or that are
    not finite, are left out.

    Raises:
        ValueError: ``data`` is no such message.
    """
    found: dict[str, float] = {}
    for number, kind, content in _fields(data):
        if (fields := _MESSAGES.get(number)) is None:
            continue
        if not isinstance(content, bytes) or kind != _BYTES:
            raise ValueError(f"field {number} is no message")
        for inner, inner_kind, value in _fields(content):
            if inner not in fields:
                continue
            name, expected = fields[inner]
            if inner_kind != expected:
                raise ValueError(f"{name} is of wire type {inner_kind}, not {expected}")
            figure = _number(value)
            if math.isfinite(figure):
                found[name] = figure
    return found


def with_result(log: BenchmarkLog, result: Mapping[str, float]) -> BenchmarkLog:
    """``log`` with what its text does not say; nothing that it says is changed."""
    return replace(
        log,
        timing=log.timing or _timing(result),
        init_us=_first(log.init_us, _scaled(result, "init_ms", 1e3)),
        first_us=_first(log.first_us, _scaled(result, "first_inference_ms", 1e3)),
        peak_memory_mb=_first(log.peak_memory_mb, _scaled(result, "peak_mem_mb", 1)),
        memory_delta_mb=_first(
            log.memory_delta_mb, _scaled(result, "overall_footprint_kb", 1 / 1024)
        ),
    )


def _timing(result: Mapping[str, float]) -> Timing | None:
    if not {"num_runs", "avg_ms", "min_ms", "max_ms"} <= result.keys():
        return None
    if result["num_runs"] < 1 or result["avg_ms"] <= 0 or result["min_ms"] < 0:
        return None
    return Timing(
        runs=int(result["num_runs"]),
        first_us=result.get("first_inference_ms", result["max_ms"]) * 1e3,
        min_us=result["min_ms"] * 1e3,
        max_us=result["max_ms"] * 1e3,
        mean_us=result["avg_ms"] * 1e3,
        std_us=result.get("stddev_ms", 0.0) * 1e3,
        median_us=_scaled(result, "median_ms", 1e3),
        p95_us=_scaled(result, "p95_ms", 1e3),
    )


def _scaled(result: Mapping[str, float], name: str, factor: float) -> float | None:
    return result[name] * factor if name in result else None


def _first(said: float | None, otherwise: float | None) -> float | None:
    return otherwise if said is None else said


def _number(value: int | bytes) -> float:
    if isinstance(value, bytes):
        return float(struct.unpack("<f", value)[0])
    return value - (1 << 64) if value >> 63 else value  # int32 and int64 in two's complement


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Number, wire type and content of each field."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"field {number} is of wire type {kind}, which is not in use")
        if at + size > len(data):
            raise ValueError(f"it ends within field {number}")
        yield number, kind, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and where it ends."""
    value = 0
    for place in range(10):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
    raise ValueError("a number is longer than 64 bits")
