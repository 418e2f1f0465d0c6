"""A phone measured by the real adb program, which talks to a fake adbd."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import DeviceError, EdgekitError, MissingError, SessionError, UsageError
from edgekit.measure.devices.adb import AdbDevice
from edgekit.measure.devices.adb_client import AdbClient, Attached, choose_phones
from edgekit.measure.devices.answers import random_inputs
from edgekit.measure.devices.benchmark_tool import find_benchmark_model
from edgekit.measure.devices.device import (
    BenchSettings,
    Delegate,
    DeviceLatency,
    Models,
    fallback,
)
from edgekit.measure.devices.select import bench_devices
from edgekit.runtimes import open_session
from tests import tflite_models
from tests.fake_adbd import FakePhone, write_program
from tests.phones import FALLBACK, GPU, XNNPACK, benchmark_program, know_answers

Plug = Callable[..., FakePhone]
SETTINGS = BenchSettings(rounds=2, cool_down_s=0, answers=0)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    (tmp_path / "q.tflite").write_bytes(tflite_models.float_model())
    (tmp_path / "f.tflite").write_bytes(tflite_models.float_model())
    return Models(tmp_path / "q.tflite", tmp_path / "f.tflite")


def bench(
    phone: FakePhone,
    adb: Path,
    models: Models,
    settings: BenchSettings = SETTINGS,
    program: str | None = None,
) -> DeviceLatency:
    tool = write_program(phone.root.parent / "benchmark_model", program or benchmark_program())
    client = AdbClient(adb)
    (attached,) = choose_phones(client.attached(), phone.serial, all_of_them=False)
    return AdbDevice(client, attached, tool).bench(models, settings, phone.root / "logs")


def raw_log(phone: FakePhone) -> str:
    (log,) = (phone.root / "logs").iterdir()
    return log.read_text(encoding="utf-8")


def failure(
    phone: FakePhone,
    adb: Path,
    models: Models,
    settings: BenchSettings = SETTINGS,
    program: str | None = None,
) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        bench(phone, adb, models, settings, program)
    return raised.value


def test_a_healthy_phone_is_measured_in_turns_and_left_clean(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()

    found = bench(phone, adb, models)

    assert (found.device, found.serial) == (f"adb:{phone.serial}", phone.serial)
    assert found.model == "Acme Phone 3"
    assert found.quantized.rounds_ms == (10.0, 10.0)
    assert found.quantized.runs == 100
    assert found.quantized.peak_memory_mb == 23.5
    assert found.reference is not None
    assert found.reference.median_ms == 20.0
    assert (found.speedup, found.ci_low, found.ci_high) == (2.0, 2.0, 2.0)
    assert (found.unfit, found.attempts) == (None, 1)
    tool = phone.root.parent / "benchmark_model"
    assert found.engine_sha256 == hashlib.sha256(tool.read_bytes()).hexdigest()
    assert list(phone.tmp.iterdir()) == []
    launches = [each for each in phone.commands if "benchmark_model --graph" in each]
    sides = ["float" if "--graph=float" in each else "quantized" for each in launches]
    assert sides == ["quantized", "float", "float", "quantized"]
    assert "--use_xnnpack=true" in launches[0]
    assert "Inference timings in us" in raw_log(phone)


# LatencyMetrics: 10 ms on average, of 9 to 12, median 8; MemoryMetrics: 42.5 MB; 50 runs.
RESULT = bytes.fromhex(
    "1214 0d00002041 1500001041 1d00004041 2d00000041  1a05 1d00002a42  2202 1032"
)


def test_a_result_file_gives_the_times_that_a_build_does_not_print(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    (phone.root / "result.pb").write_bytes(RESULT)
    program = benchmark_program(prints_times=False)

    found = bench(phone, adb, models, program=program)

    assert (found.quantized.median_ms, found.quantized.min_ms, found.quantized.runs) == (8, 9, 100)
    assert found.quantized.peak_memory_mb == 23.5  # as the text says
    assert "result.pb: avg_ms=10 min_ms=9" in raw_log(phone)
    error = failure(
        phone, adb, models, BenchSettings(delegate=Delegate.GPU, rounds=2, answers=0), program
    )
    assert "on a GPU counts how long work takes to be handed over" in error.message
    assert list(phone.tmp.iterdir()) == []


@pytest.mark.parametrize("content", [RESULT, b"PK garbage"], ids=["result", "garbage"])
def test_what_a_build_prints_goes_before_its_result_file(
    content: bytes, plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    (phone.root / "result.pb").write_bytes(content)

    found = bench(phone, adb, models)

    assert found.quantized.rounds_ms == (10.0, 10.0)
    assert ("result.pb is not read" in raw_log(phone)) is (content != RESULT)


def test_what_the_phone_is_stands_before_and_after(plug: Plug, adb: Path, models: Models) -> None:
    found = bench(plug(), adb, models)

    expected = {
        "soc": "S900",
        "android": "14",
        "api_level": "34",
        "abis": "arm64-v8a,armeabi-v7a",
        "governor": "schedutil",
        "max_khz": "2850000",
        "free_kb": "62300000",
        "battery_percent": "85",
        "battery_celsius": "31.2",
        "usb_powered": "true",
        "thermal_status": "0 (none)",
    }
    assert expected.items() <= found.before.items()
    assert found.after == found.before


def test_a_gpu_that_falls_back_is_not_called_a_gpu(plug: Plug, adb: Path, models: Models) -> None:
    settings = BenchSettings(delegate=Delegate.GPU, rounds=2, cool_down_s=0, answers=0)
    phone = plug()

    found = bench(phone, adb, models, settings, benchmark_program(FALLBACK))

    assert found.quantized.delegation.effective is Delegate.XNNPACK
    assert fallback(found) == "gpu was asked for, and xnnpack executed the graph"
    assert any("--use_gpu=true" in each for each in phone.commands)


def test_a_gpu_that_takes_all_falls_back_in_nothing(plug: Plug, adb: Path, models: Models) -> None:
    settings = BenchSettings(delegate=Delegate.GPU, rounds=2, cool_down_s=0, answers=0)

    found = bench(plug(), adb, models, settings, benchmark_program(GPU))

    assert fallback(found) is None


def test_nnapi_that_refuses_the_model_is_told_with_its_own_words(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    program = benchmark_program(
        instead='echo "ERROR: Failed to apply NNAPI delegate."; echo "ERROR: Benchmarking failed."'
        "; exit 1"
    )
    settings = BenchSettings(
        delegate=Delegate.NNAPI,
        rounds=2,
        answers=0,
        nnapi_accelerator="npu",
        nnapi_preference="low_power",
    )

    error = failure(phone, adb, models, settings, program)

    assert isinstance(error, SessionError)
    assert "nnapi does not run the model: Failed to apply NNAPI delegate." in error.message
    (launch,) = (each for each in phone.commands if "--use_nnapi=true" in each)
    assert "--nnapi_accelerator_name=npu" in launch
    assert "--nnapi_execution_preference=low_power" in launch
    assert list(phone.tmp.iterdir()) == []


STRICT = """
case "$*" in
  *--require_full_delegation=true*) echo "ERROR: Disallowed CPU fallback detected."; exit 1;;
esac
"""
PARTLY = GPU.replace("completely", "partially").replace(
    "the delegate.", "the delegate w/ 1 delegate kernels."
)


@pytest.mark.parametrize("strict", [True, False])
def test_only_strict_has_a_graph_refused_that_is_not_taken_whole(
    strict: bool, plug: Plug, adb: Path, models: Models
) -> None:
    settings = BenchSettings(
        delegate=Delegate.GPU, rounds=2, cool_down_s=0, answers=0, strict=strict
    )
    program = benchmark_program(PARTLY, instead=STRICT)
    phone = plug()

    if strict:
        error = failure(phone, adb, models, settings, program)
        assert isinstance(error, SessionError)
        assert "gpu does not run the model: Disallowed CPU fallback detected." in error.message
    else:
        found = bench(phone, adb, Models(models.quantized), settings, program)
        assert fallback(found) == "gpu took a part of the graph, in 1 partition; the CPU the rest"
    assert list(phone.tmp.iterdir()) == []


def test_a_table_of_operators_is_kept_and_is_no_figure(
    plug: Plug, adb: Path, models: Models
) -> None:
    table = (
        "CONV_2D 0.034 0.031 81.2% [hidden]:0\nTimings (microseconds): count=9 min=1 max=1 avg=1"
    )
    program = benchmark_program(
        XNNPACK, instead=f'case "$*" in *--enable_op_profiling=true*) printf "{table}\n";; esac'
    )
    phone = plug()

    found = bench(
        phone, adb, Models(models.quantized), replace(SETTINGS, profile_ops=True), program
    )

    assert found.quantized.rounds_ms == (10.0, 10.0)
    assert "CONV_2D 0.034" in raw_log(phone)
    assert "--enable_op_profiling=true" in found.flags
    assert found.warnings == (
        "operators were profiled, which takes time that these figures hold too",
    )


def test_the_phone_cools_down_between_launches(
    plug: Plug, adb: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(AdbDevice, "_cool_down", lambda self, seconds: waited.append(seconds))

    bench(plug(), adb, models, replace(SETTINGS, cool_down_s=7.5))

    assert waited == [7.5] * 3


def test_phones_are_measured_at_once(plug: Plug, adb: Path, models: Models, tmp_path: Path) -> None:
    # Each launch waits for one on the other phone.
    program = benchmark_program(
        instead='touch "$FAKE_ROOT/../here$(basename "$FAKE_ROOT")"\n'
        'until [ -e "$FAKE_ROOT/../herephone0" -a -e "$FAKE_ROOT/../herephone1" ]; do '
        "sleep 0.02; done"
    )
    phones = [plug(), plug()]
    tool = write_program(tmp_path / "benchmark_model", program)
    devices = [
        AdbDevice(AdbClient(adb), Attached(phone.serial, "device", ""), tool) for phone in phones
    ]

    found = bench_devices(
        devices, Models(models.quantized), replace(SETTINGS, timeout_s=20), tmp_path / "logs"
    )

    assert [type(each) for each in found] == [DeviceLatency] * 2
    assert len(list((tmp_path / "logs").iterdir())) == 2


def test_nnapi_is_warned_of_from_android_15(plug: Plug, adb: Path, models: Models) -> None:
    phone = plug()
    phone.set_props(ro_build_version_sdk="35")
    settings = BenchSettings(delegate=Delegate.NNAPI, rounds=2, cool_down_s=0, answers=0)

    (warning,) = bench(phone, adb, models, settings).warnings

    assert "deprecated since Android 15" in warning


def test_a_crash_names_the_signal_and_keeps_the_log(plug: Plug, adb: Path, models: Models) -> None:
    phone = plug()

    error = failure(
        phone, adb, models, program=benchmark_program(instead="echo before the end; kill -SEGV $$")
    )

    assert "benchmark_model crashed with SIGSEGV on xnnpack" in error.message
    assert "before the end" in raw_log(phone)
    assert list(phone.tmp.iterdir()) == []


def test_a_cable_that_is_pulled_says_what_stays_behind(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    phone.unplugged_by = "--graph=float"

    error = failure(phone, adb, models)

    assert isinstance(error, DeviceError)
    assert "was lost while timing the float model" in error.message
    (left,) = phone.tmp.iterdir()
    assert f"rm -rf /data/local/tmp/{left.name}" in (error.hint or "")
    assert "count=50" in raw_log(phone)


def test_a_full_phone_says_so_before_anything_is_copied(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    (phone.root / "free_kb").write_text("1\n")

    error = failure(phone, adb, models)

    assert isinstance(error, MissingError)
    assert "no space left in /data/local/tmp: 1 kB free" in error.message
    assert not any("mkdir" in each for each in phone.commands)


def test_a_phone_that_fills_up_while_copying_is_left_clean(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    phone.full = True

    error = failure(phone, adb, models)

    assert isinstance(error, MissingError)
    assert "no space left in /data/local/tmp (copying benchmark_model to it)" in error.message
    assert list(phone.tmp.iterdir()) == []


def test_an_unauthorised_phone_asks_for_the_dialogue(plug: Plug, adb: Path, models: Models) -> None:
    error = failure(plug(authorised=False), adb, models)

    assert isinstance(error, MissingError)
    assert "has not authorised this computer" in error.message
    assert "Allow USB debugging" in (error.hint or "")


def test_garbage_is_no_figure(plug: Plug, adb: Path, models: Models) -> None:
    program = benchmark_program(instead="head -c 3000 /dev/urandom; echo; echo bye; exit 0")

    error = failure(plug(), adb, models, program=program)

    assert isinstance(error, DeviceError)
    assert "printed no times; its last line: bye" in error.message


def test_a_hang_is_ended_on_the_phone_too(plug: Plug, adb: Path, models: Models) -> None:
    phone = plug()
    program = benchmark_program(instead="exec sleep 321")
    settings = BenchSettings(rounds=2, answers=0, timeout_s=1)
    started = time.monotonic()

    error = failure(phone, adb, models, settings, program)

    assert "did not finish within 1 s" in error.message
    assert time.monotonic() - started < 20
    assert any("kill -9" in each for each in phone.commands)
    assert list(phone.tmp.iterdir()) == []


def test_a_program_for_another_processor_is_not_even_copied(
    plug: Plug, adb: Path, models: Models, tmp_path: Path
) -> None:
    phone = plug()
    x86 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)
    (tmp_path / "x86").write_bytes(x86)
    client = AdbClient(adb)
    (attached,) = choose_phones(client.attached(), phone.serial, all_of_them=False)

    with pytest.raises(MissingError, match=r"built for x86_64, and phone .* runs arm64-v8a"):
        AdbDevice(client, attached, tmp_path / "x86").bench(models, SETTINGS, tmp_path / "logs")
    assert not any("mkdir" in each for each in phone.commands)


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ("sh: ./benchmark_model: can't execute: Permission denied", 126, "refuses to run"),
        ('"./benchmark_model": not executable: 64-bit ELF file', 126, "cannot run"),
    ],
)
def test_a_phone_that_will_not_execute_it_says_why(
    said: str, code: int, expected: str, plug: Plug, adb: Path, models: Models
) -> None:
    program = benchmark_program(instead=f"echo {said!r}; exit {code}")

    error = failure(plug(), adb, models, program=program)

    assert isinstance(error, MissingError)
    assert expected in error.message


def test_a_hot_phone_is_measured_again_and_then_called_unfit(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    phone.set_heat(2)

    found = bench(phone, adb, models)

    assert found.attempts == 2
    assert found.unfit == "the phone was throttling: thermal status 2 (moderate)"
    assert found.quantized.median_ms == 10.0


def test_a_phone_that_has_cooled_down_by_the_second_time_is_believed(
    plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    phone.set_heat(3)
    # The third launch, which is the first of the second attempt, finds it cool.
    program = benchmark_program(
        instead='echo >> "$FAKE_ROOT/launches"; [ $(wc -l < "$FAKE_ROOT/launches") -lt 3 ] || '
        'echo "Thermal Status: 0" > "$FAKE_ROOT/dumpsys_thermalservice"'
    )

    found = bench(phone, adb, Models(models.quantized), program=program)

    assert (found.attempts, found.unfit) == (2, None)
    assert found.before["thermal_status"] == "3 (severe)"
    assert found.after["thermal_status"] == "0 (none)"


def test_noisy_rounds_are_measured_again_and_then_called_unfit(
    plug: Plug, adb: Path, models: Models
) -> None:
    # Every second launch takes three times as long.
    noise = "n=$(cat ../n 2>/dev/null || echo 0); echo $((1 - n)) > ../n"
    program = benchmark_program(instead=noise).replace(
        "cat <<END", "[ $n = 0 ] || median=$((median * 3))\ncat <<END"
    )
    phone = plug()

    found = bench(phone, adb, Models(models.quantized), program=program)

    assert found.attempts == 2
    assert found.unfit is not None
    assert "rounds lie 50% apart" in found.unfit
    assert found.speedup is None


def answered(phone: FakePhone, file: Path, shift: float = 0) -> Models:
    """``file`` with inputs whose answers the phone knows, ``shift`` added to each value."""
    with open_session(file) as session:
        inputs = random_inputs(session.info, 3)
    know_answers(phone, file, inputs, shift)
    return Models(file, inputs=inputs)


@pytest.mark.parametrize("shift", [0, 0.5])
def test_answers_of_the_phone_are_held_against_the_host(
    shift: float, plug: Plug, adb: Path, models: Models
) -> None:
    phone = plug()
    asked = answered(phone, models.quantized, shift)

    found = bench(phone, adb, asked, BenchSettings(rounds=2, cool_down_s=0, answers=3))

    assert found.answers is not None
    assert (found.answers.n, found.answers.agreement, found.answers.integer) == (3, 1.0, False)
    assert found.answers.max_abs == pytest.approx(shift, abs=1e-6)


def test_a_build_that_writes_no_outputs_is_said_to(plug: Plug, adb: Path, models: Models) -> None:
    with open_session(models.quantized) as session:
        asked = Models(models.quantized, inputs=random_inputs(session.info, 1))

    found = bench(plug(), adb, asked, BenchSettings(rounds=2, cool_down_s=0, answers=1))

    assert found.answers is None
    assert "writes no outputs" in found.warnings[0]


def test_several_phones_and_no_name_is_a_question(plug: Plug, adb: Path) -> None:
    one, other = plug(), plug()
    attached = AdbClient(adb).attached()

    with pytest.raises(UsageError, match="2 phones are attached") as raised:
        choose_phones(attached, None, all_of_them=False)
    assert "--device all" in (raised.value.hint or "")
    chosen = choose_phones(attached, None, all_of_them=True)
    assert {each.serial for each in chosen} == {one.serial, other.serial}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "none was given"), ({"EDGEKIT_BENCHMARK_MODEL": "/nowhere/b"}, "no benchmark_model at")],
)
def test_without_benchmark_model_the_command_that_makes_it_is_told(
    environ: Mapping[str, str], expected: str
) -> None:
    with pytest.raises(MissingError, match=expected) as raised:
        find_benchmark_model(None, environ)
    assert "bazel build" in (raised.value.hint or "")
