"""The result file of benchmark_model, held against protobuf's own encoder."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.measure.devices.benchmark_log import parse_log
from edgekit.measure.devices.benchmark_result import decode_result, with_result
from edgekit.measure.devices.device import Delegate
from tests.measure.devices.test_benchmark_log import NEW

LATENCY = (
    "avg_ms", "min_ms", "max_ms", "stddev_ms", "median_ms", "p5_ms", "p95_ms", "init_ms",
    "first_inference_ms", "average_warm_up_ms",
)  # fmt: skip
MEMORY = ("init_footprint_kb", "overall_footprint_kb", "peak_mem_mb")
MISC = ("model_size_mb", "num_runs", "num_warmup_runs", "model_throughput_in_mb_per_sec", "fps")
INTEGERS = {
    "init_footprint_kb": "TYPE_INT64", "overall_footprint_kb": "TYPE_INT64",
    "num_runs": "TYPE_INT32", "num_warmup_runs": "TYPE_INT32",
}  # fmt: skip
PASSED_OVER = {"model_size_mb", "model_throughput_in_mb_per_sec", "fps"}


def encoded(values: dict[str, float]) -> bytes:
    """A BenchmarkResult as protobuf writes it, after the message's definition."""
    descriptors = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptors.FileDescriptorProto(name="result.proto", package="b", syntax="proto2")
    field_type = descriptors.FieldDescriptorProto
    parts = {"latency": LATENCY, "memory": MEMORY, "misc": MISC}
    for message, names in parts.items():
        made = file.message_type.add(name=message)
        for number, name in enumerate(names, start=1):
            kind = getattr(field_type, INTEGERS.get(name, "TYPE_FLOAT"))
            made.field.add(name=name, number=number, type=kind, label=field_type.LABEL_OPTIONAL)
    whole = file.message_type.add(name="result")
    whole.field.add(
        name="name", number=1, type=field_type.TYPE_STRING, label=field_type.LABEL_OPTIONAL
    )
    for number, message in enumerate(parts, start=2):
        whole.field.add(
            name=message, number=number, type=field_type.TYPE_MESSAGE,
            type_name=f".b.{message}", label=field_type.LABEL_OPTIONAL,
        )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    result: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("b.result"))()
    result.name = "a run"
    for message, names in parts.items():
        for name in names:
            if name in values:
                setattr(getattr(result, message), name, values[name])
    return bytes(result.SerializeToString())


RESULT = {
    "avg_ms": 10.5, "min_ms": 9.0, "max_ms": 12.0, "stddev_ms": 0.25, "median_ms": 10.0,
    "p95_ms": 11.5, "init_ms": 48.5, "first_inference_ms": 20.0, "overall_footprint_kb": 2048,
    "peak_mem_mb": 23.5, "num_runs": 50,
}  # fmt: skip

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
values = st.fixed_dictionaries(
    {},
    optional={
        **{name: floats for name in (*LATENCY, *MEMORY, *MISC) if name not in INTEGERS},
        **{
            name: st.integers(-(2**31), 2**31 - 1)
            if kind == "TYPE_INT32"
            else st.integers(-(2**63), 2**63 - 1)
            for name, kind in INTEGERS.items()
        },
    },
)


@given(values)
def test_what_protobuf_writes_is_read(given_values: dict[str, float]) -> None:
    expected = {k: v for k, v in given_values.items() if k not in PASSED_OVER}

    assert decode_result(encoded(given_values)) == expected


def test_the_text_goes_first_and_the_file_fills_what_it_leaves_out() -> None:
    result = decode_result(encoded(RESULT))

    assert with_result(parse_log(NEW, Delegate.GPU), result) == parse_log(NEW, Delegate.GPU)
    filled = with_result(parse_log("count=1 curr=20\n", Delegate.CPU), result)
    assert filled.timing is not None
    assert (filled.timing.runs, filled.timing.median_us, filled.timing.mean_us) == (50, 1e4, 10500)
    assert (filled.timing.min_us, filled.timing.max_us, filled.timing.p95_us) == (9e3, 12e3, 11500)
    assert (filled.init_us, filled.first_us) == (48500, 20000)
    assert (filled.peak_memory_mb, filled.memory_delta_mb) == (23.5, 2.0)


@pytest.mark.parametrize("missing", ["num_runs", "avg_ms", "min_ms"])
def test_a_result_without_a_figure_makes_no_time(missing: str) -> None:
    result = {name: value for name, value in RESULT.items() if name != missing}

    assert with_result(parse_log("", Delegate.CPU), result).timing is None
    assert with_result(parse_log("", Delegate.CPU), {**RESULT, "num_runs": 0}).timing is None


def test_numbers_that_are_none_are_left_out() -> None:
    assert decode_result(encoded({"avg_ms": math.inf, "min_ms": math.nan, "max_ms": 1})) == {
        "max_ms": 1
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x12", "ends within a number"),
        (b"\x12\x05\x0d\x00", "ends within field 2"),
        (b"\x12\x02\x08\x01", "avg_ms is of wire type 0, not 5"),
        (b"\x10\x01", "field 2 is no message"),
        (b"\x03", "number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x08" + b"\xff" * 10, "longer than 64 bits"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(data: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        decode_result(data)


@given(st.binary(max_size=80))
def test_noise_is_read_or_refused(data: bytes) -> None:
    try:
        found = decode_result(data)
    except ValueError:
        return
    assert all(math.isfinite(value) for value in found.values())


def test_fields_of_a_later_build_are_passed_over() -> None:
    later = b"\x29" + struct.pack("<d", 1.0) + b"\x32\x01x"  # 5: a double, 6: bytes

    assert decode_result(later + encoded(RESULT)) == RESULT
