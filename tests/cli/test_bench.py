"""``edgekit bench``: this host, phones by the real adb program, and what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.cli.main import main
from tests import tflite_models
from tests.cli.commands import EDGEKIT, environment
from tests.fake_adbd import FakePhone, write_program
from tests.phones import FALLBACK, benchmark_program
from tests.stand_in_runtime import stand_in_runtime

FAST = ("--rounds", "2", "--runs", "2", "--cool-down", "0")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: q.tflite, f.tflite and a benchmark_model."""
    (tmp_path / "q.tflite").write_bytes(tflite_models.int8_model())
    (tmp_path / "f.tflite").write_bytes(tflite_models.float_model())
    tool = write_program(tmp_path / "benchmark_model", benchmark_program())
    monkeypatch.setenv("EDGEKIT_BENCHMARK_MODEL", str(tool))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_host_times_both_models_in_turns(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "q.tflite", "--float", "f.tflite", *FAST, "--json"]) == 0

    (host,) = json.loads(capsys.readouterr().out)["devices"]
    assert (host["device"], host["measured"]) == ("host", True)
    assert (host["delegate_requested"], host["delegate_effective"]) == ("xnnpack", "xnnpack")
    assert host["speedup"] == pytest.approx(host["float"]["median_ms"] / host["median_ms"])
    assert host["ci_low"] <= host["speedup"] <= host["ci_high"]
    assert (host["runs"], len(host["rounds_ms"]), host["p90_of"]) == (4, 2, "runs")
    assert host["warm_up_runs"] >= 6


def test_without_xnnpack_the_kernels_are_the_cpus_own(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "q.tflite", "--delegate", "cpu", *FAST, "--json"]) == 0

    (host,) = json.loads(capsys.readouterr().out)["devices"]
    assert (host["delegate_effective"], host["fallback"]) == ("cpu", None)


def test_a_phone_is_told_in_lines_and_its_log_is_kept(
    files: Path, plug: Callable[..., FakePhone], capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug()
    device = f"adb:{phone.serial}"

    code = main(["bench", "q.tflite", "--float", "f.tflite", "--device", device, *FAST])

    assert code == 0
    printed = capsys.readouterr().out
    assert f"Acme Phone 3 (adb:{phone.serial})" in printed
    assert "speed-up   2.00 x [2.00, 2.00]" in printed
    assert (
        "fallback: xnnpack took a part of the graph, in 2 partitions; the CPU the rest" in printed
    )
    (log,) = (files / "runs" / "bench").rglob("*-xnnpack.log")
    assert "Inference timings in us" in log.read_text(encoding="utf-8")


def test_two_phones_are_measured_at_once_and_one_may_fail(
    files: Path, plug: Callable[..., FakePhone], capsys: pytest.CaptureFixture[str]
) -> None:
    good, full = plug(), plug()
    full.full = True

    code = main(["bench", "q.tflite", "--device", "all", *FAST, "--json"])

    captured = capsys.readouterr()
    assert code == 4
    found = {each["device"]: each for each in json.loads(captured.out)["devices"]}
    assert found[f"adb:{good.serial}"]["median_ms"] == 10.0
    failed = found[f"adb:{full.serial}"]
    assert failed["measured"] is False
    assert "no space left" in failed["why"]
    assert "error: phone" in captured.err
    assert "its log: runs/bench/" in captured.err


def test_a_fallback_is_said_not_hidden(
    files: Path, plug: Callable[..., FakePhone], capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug()
    write_program(files / "benchmark_model", benchmark_program(FALLBACK))
    device = f"adb:{phone.serial}"

    code = main(["bench", "q.tflite", "--device", device, "--delegate", "gpu", *FAST, "--json"])

    (found,) = json.loads(capsys.readouterr().out)["devices"]
    assert code == 0
    assert (found["delegate_requested"], found["delegate_effective"]) == ("gpu", "xnnpack")
    assert found["fallback"] == "gpu was asked for, and xnnpack executed the graph"


def test_no_phone_is_exit_4_with_what_to_do(
    files: Path, adb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "q.tflite", "--device", "adb"]) == 4

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no phone is attached" in captured.err
    assert "adb devices" in captured.err


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("offline transport_id:2", "phone R58N is offline"),
        ("unauthorized transport_id:2", "has not authorised this computer"),
        ("no permissions (missing udev rules?)", "may not be opened by this user"),
        ("recovery", "is in state 'recovery'"),
    ],
)
def test_a_phone_that_is_there_and_cannot_be_used_is_exit_4(
    state: str,
    expected: str,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # adb itself takes half a minute to call a phone offline.
    listed = f"List of devices attached\nR58N     {state}\n"
    write_program(files / "adb", f"#!/bin/sh\n[ $1 = start-server ] || printf '{listed}'\n")
    monkeypatch.setenv("PATH", f"{files}{os.pathsep}{os.environ['PATH']}")

    assert main(["bench", "q.tflite", "--device", "adb", "--json"]) == 4

    captured = capsys.readouterr()
    (found,) = json.loads(captured.out)["devices"]
    assert (found["device"], found["measured"]) == ("adb:R58N", False)
    assert expected in found["why"]
    assert expected in captured.err


def test_no_adb_program_is_exit_4_with_the_command_that_gets_it(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    monkeypatch.setattr("edgekit.measure.devices.adb_client.find_spec", lambda name: None)

    assert main(["bench", "q.tflite", "--device", "all"]) == 4

    assert "pip install adbutils" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["q.tflite", "--device", "phone"], "there is no device 'phone'"),
        (["none.tflite"], "no such model file: none.tflite"),
        (["q.tflite", "--delegate", "gpu"], "this machine has no delegate gpu"),
        (["notes.txt"], "nothing here times notes.txt"),
        (["q.tflite", "--rounds", "1"], "--rounds"),
        (["q.tflite", "--strict"], "strict is benchmark_model's"),
        (["q.tflite", "--device", "qemu-aarch64", "--profile-ops"], "profile-ops is benchmark_"),
        (["q.tflite", "--device", "adb", "--gpu-float32"], "gpu-float32 is about gpu"),
        (["q.tflite", "--device", "adb", "--nnapi-accelerator", "npu"], "is about nnapi"),
        (["q.tflite", "--device", "adb", "--delegate", "cpu", "--strict"], "are no delegate"),
    ],
)
def test_a_wrong_request_is_exit_2_and_says_what_is_wrong(
    arguments: list[str], expected: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "notes.txt").write_text("no model")

    assert main(["bench", *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err


def test_a_broken_model_is_a_failure_of_the_model(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "broken.tflite").write_bytes(tflite_models.corrupt_model())

    assert main(["bench", "broken.tflite", *FAST, "--json"]) == 1

    captured = capsys.readouterr()
    (host,) = json.loads(captured.out)["devices"]
    assert host["measured"] is False
    assert "broken.tflite cannot be loaded" in captured.err


def test_an_emulated_core_gives_answers_and_no_latency(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    select = "edgekit.measure.devices.select"
    monkeypatch.setattr(f"{select}.arm_python", lambda cache, progress: files)
    monkeypatch.setattr(
        f"{select}.EmulatedEnvironment", lambda name, python: stand_in_runtime(python)
    )

    assert main(["bench", "q.tflite", "--device", "qemu-aarch64", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["devices"]
    assert found["measured"] is False
    assert "median_ms" not in found
    assert found["answers"] == {"n": 4, "agreement": 1.0, "max_abs": 0.0, "integer": True}

    (files / "workers").rename(files / "first")
    assert main(["bench", "q.tflite", "--device", "qemu-aarch64", "-q"]) == 0
    assert "4 inputs are this host's bit for bit" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_leaves_every_phone_clean(
    count: int, files: Path, plug: Callable[..., FakePhone]
) -> None:
    phones = [plug() for _ in range(count)]
    write_program(files / "benchmark_model", benchmark_program(instead="exec sleep 321"))
    command = [*EDGEKIT, "bench", "q.tflite", "--device", "all", "-q"]
    child = subprocess.Popen(
        command, cwd=files, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not all(any("--graph" in said for said in phone.commands) for phone in phones):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    child.send_signal(signal.SIGINT)

    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert b"Traceback" not in said
    assert [list(phone.tmp.iterdir()) for phone in phones] == [[]] * count
    assert all(any("kill -9" in each for each in phone.commands) for phone in phones)


@pytest.mark.parametrize("columns", [40, 200])
def test_no_width_cuts_a_line_off(
    columns: int,
    files: Path,
    plug: Callable[..., FakePhone],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    phone = plug()
    monkeypatch.setenv("COLUMNS", str(columns))

    assert main(["bench", "q.tflite", "--device", f"adb:{phone.serial}", *FAST, "-q"]) == 0

    captured = capsys.readouterr()
    assert "of rounds, spread 0.0%" in " ".join(captured.out.split())
    assert captured.err == ""
