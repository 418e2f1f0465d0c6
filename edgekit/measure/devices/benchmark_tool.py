"""The user's benchmark_model: where it is, whether it fits a phone, and why it gave no figures."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path

from edgekit.errors import DeviceError, EdgekitError, MissingError, SessionError
from edgekit.measure.devices.benchmark_log import BenchmarkLog
from edgekit.measure.devices.device import Delegate
from edgekit.measure.devices.phone import Said

ENVIRONMENT_VARIABLE = "EDGEKIT_BENCHMARK_MODEL"
TOOL = "benchmark_model"
_BUILD = (
    "In TensorFlow's source: bazel build -c opt --config=android_arm64 "
    "//tensorflow/lite/tools/benchmark:benchmark_model, then --benchmark-model "
    f"bazel-bin/tensorflow/lite/tools/benchmark/benchmark_model, or ${ENVIRONMENT_VARIABLE}."
)
# e_machine of the ELF header, and Android's name of it.
_ABIS = {0xB7: "arm64-v8a", 0x28: "armeabi-v7a", 0x3E: "x86_64", 0x03: "x86", 0xF3: "riscv64"}
_NOT_THIS_ABI = re.compile(
    r"not executable: \d+-bit ELF|Exec format error|CANNOT LINK EXECUTABLE|bad ELF magic"
)
_REFUSED = re.compile(r"Permission denied|avc: +denied|can't execute|inaccessible or not found")
_SIGNALS = {134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 137: "SIGKILL", 139: "SIGSEGV"}


def find_benchmark_model(given: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """The user's benchmark_model: ``given``, or what the environment variable names.

    Raises:
        MissingError: neither, or there is no such file.
    """
    environ = os.environ if environ is None else environ
    named = given or (Path(value) if (value := environ.get(ENVIRONMENT_VARIABLE)) else None)
    if named is None:
        raise MissingError(
            "a phone is measured by TensorFlow Lite's benchmark_model, and none was given",
            hint=_BUILD,
        )
    if not named.is_file():
        raise MissingError(f"there is no benchmark_model at {named}", hint=_BUILD)
    return named


def check_abi(tool: Path, serial: str, abis: str) -> None:
    """Hold the program's header against ``abis``, the phone's own list; nothing is copied yet.

    Raises:
        MissingError: it is for another processor, or no program of Linux at all.
    """
    with tool.open("rb") as file:
        head = file.read(20)
    if head[:4] == b"\x7fELF" and len(head) == 20:
        (machine,) = struct.unpack("<H", head[18:20])
        abi = _ABIS.get(machine, f"ELF machine {machine:#x}")
        if abis and abi not in abis.split(","):
            raise MissingError(
                f"{tool} is built for {abi}, and phone {serial} runs {abis}", hint=_BUILD
            )
    elif head[:2] != b"#!":
        raise MissingError(f"{tool} is no program for a phone: no ELF file", hint=_BUILD)


def launch_failure(
    tool: Path, serial: str, said: Said, log: BenchmarkLog | None, delegate: Delegate
) -> EdgekitError:
    """What a launch that gave no figures means."""
    if match := _NOT_THIS_ABI.search(said.text):
        return MissingError(
            f"phone {serial} cannot run {tool}: {_line_of(said.text, match)}", hint=_BUILD
        )
    if said.code in (126, 127) and (match := _REFUSED.search(said.text)):
        return MissingError(
            f"phone {serial} refuses to run {TOOL}: {_line_of(said.text, match)}",
            hint="SELinux or the phone's policy forbids programs in /data/local/tmp; take a "
            "phone with a userdebug build, or one that is not managed.",
        )
    if said.code in _SIGNALS:
        return SessionError(
            f"phone {serial}: {TOOL} crashed with {_SIGNALS[said.code]} on {delegate}"
        )
    if log is not None and log.fault is not None:
        return SessionError(f"phone {serial}: {delegate} does not run the model: {log.fault}")
    last = said.text.strip().splitlines()[-1:] or ["nothing"]
    return DeviceError(
        f"phone {serial}: {TOOL} ended with exit code {said.code} and printed no times; its last "
        f"line: {last[0][:200]}",
        hint="Is that file TensorFlow Lite's benchmark_model?",
    )


def no_gpu_times(serial: str) -> DeviceError:
    """For a program whose times stand in its result file only: LiteRT's own benchmark_model is
    one (litert/tools/benchmark_litert_model.h), and its runs on a GPU end before the answers."""
    return DeviceError(
        f"phone {serial}: this {TOOL} prints no times but those of its result file, as LiteRT's "
        "own does, which on a GPU counts how long work takes to be handed over, not to be done",
        hint=f"Take TensorFlow Lite's {TOOL}. {_BUILD}",
    )


def _line_of(text: str, match: re.Match[str]) -> str:
    start = text.rfind("\n", 0, match.start()) + 1
    return text[start : match.end() + 160].splitlines()[0].strip()
