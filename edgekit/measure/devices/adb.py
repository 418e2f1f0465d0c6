"""A phone behind the Device seam: benchmark_model in turns, its figures held against its facts."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.errors import DeviceError, EdgekitError, MissingError, UsageError
from edgekit.measure.devices.adb_client import AdbClient, Attached, unusable
from edgekit.measure.devices.answers import compare_answers, raw_inputs
from edgekit.measure.devices.benchmark_flags import answer_flags, bench_flags
from edgekit.measure.devices.benchmark_log import BenchmarkLog, parse_log
from edgekit.measure.devices.device import (
    Answers,
    BenchSettings,
    Delegate,
    DeviceLatency,
    Models,
    ModelTimes,
)
from edgekit.measure.devices.phone import Phone, Said
from edgekit.measure.devices.phone_facts import SCRIPT, nnapi_warning, parse_facts, throttled
from edgekit.measure.latency import PairTimes, summarize_pair
from edgekit.runtimes.turns import turns

ENVIRONMENT_VARIABLE = "EDGEKIT_BENCHMARK_MODEL"
SPREAD_MAX = 0.10
"""Rounds whose medians lie further apart, quartile to quartile, are called noisy."""
_TOOL = "benchmark_model"
_BUILD = (
    "In TensorFlow's source: bazel build -c opt --config=android_arm64 "
    "//tensorflow/lite/tools/benchmark:benchmark_model, then --benchmark-model "
    f"bazel-bin/tensorflow/lite/tools/benchmark/benchmark_model, or ${ENVIRONMENT_VARIABLE}."
)
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


class AdbDevice:
    """The phone ``attached``, measured by the program ``benchmark_model``."""

    def __init__(
        self,
        adb: AdbClient,
        attached: Attached,
        benchmark_model: Path,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._adb = adb
        self._attached = attached
        self._tool = benchmark_model
        self._stopped = threading.Event()
        self._sleep = self._stopped.wait if sleep is None else sleep

    @property
    def name(self) -> str:
        """See ``Device.name``."""
        return f"adb:{self._attached.serial}"

    def cancel(self) -> None:
        """See ``Device.cancel``."""
        self._stopped.set()
        self._adb.cancel()

    def bench(self, models: Models, settings: BenchSettings, logs: Path) -> DeviceLatency:
        """See ``Device.bench``; the log is ``<serial>-<delegate>.log``."""
        if models.quantized.suffix != ".tflite":
            raise UsageError(
                f"{models.quantized.name} is no .tflite, and benchmark_model runs nothing else"
            )
        if (reason := unusable(self._attached)) is not None:
            raise reason
        serial = self._attached.serial
        log = log_file(logs, self.name, settings.delegate)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        phone = Phone(self._adb, serial, log)
        before = self._facts(phone)
        self._check(before, models)
        with phone.folder() as remote:
            phone.push(self._tool, f"{remote}/{_TOOL}")
            allowed = phone.shell(f"chmod 755 {remote}/{_TOOL}", doing="preparing it")
            if allowed.code:
                raise self._failure(allowed, None, settings)
            files = {"quantized": models.quantized}
            if models.reference is not None:
                files["float"] = models.reference
            for name, file in files.items():
                phone.push(file, f"{remote}/{name}.tflite")
            measured = self._rounds(phone, remote, list(files), settings)
            answers = self._answers(phone, remote, models, settings)
        return DeviceLatency(
            device=self.name,
            serial=serial,
            model=" ".join(filter(None, map(before.get, ("manufacturer", "model")))) or serial,
            requested=settings.delegate,
            engine=_TOOL,
            engine_sha256=hashlib.sha256(self._tool.read_bytes()).hexdigest(),
            threads=settings.threads,
            rounds=settings.rounds,
            before=before,
            answers=answers,
            warnings=self._warnings(before, settings, models, answers),
            log=log,
            **measured,
        )

    def _facts(self, phone: Phone) -> dict[str, str]:
        try:
            return parse_facts(phone.shell(SCRIPT, doing="asking what it is").text)
        except TimeoutError as error:
            raise DeviceError(f"phone {phone.serial} does not answer: {error}") from error

    def _check(self, facts: Mapping[str, str], models: Models) -> None:
        """What can be known before anything is copied."""
        serial, abis = self._attached.serial, facts.get("abis", "")
        with self._tool.open("rb") as file:
            head = file.read(20)
        if head[:4] == b"\x7fELF" and len(head) == 20:
            (machine,) = struct.unpack("<H", head[18:20])
            abi = _ABIS.get(machine, f"ELF machine {machine:#x}")
            if abis and abi not in abis.split(","):
                raise MissingError(
                    f"{self._tool} is built for {abi}, and phone {serial} runs {abis}", hint=_BUILD
                )
        elif head[:2] != b"#!":
            raise MissingError(f"{self._tool} is no program for a phone: no ELF file", hint=_BUILD)
        files = [self._tool, models.quantized, *filter(None, [models.reference])]
        needed_kb = sum(file.stat().st_size for file in files) // 1024 + 1
        if facts.get("free_kb", "").isdigit() and int(facts["free_kb"]) < needed_kb:
            raise MissingError(
                f"phone {serial} has no space left in /data/local/tmp: {facts['free_kb']} kB free, "
                f"{needed_kb} kB needed",
                hint="Free some space there and run this again.",
            )

    def _rounds(
        self, phone: Phone, remote: str, sides: Sequence[str], settings: BenchSettings
    ) -> dict[str, object]:
        """All rounds; again where they cannot be believed, as often as the settings allow."""
        attempts = 0
        while True:
            attempts += 1
            logs: list[list[BenchmarkLog]] = [[] for _ in sides]
            for number, order in enumerate(turns(len(sides), settings.rounds)):
                for side in order:
                    if number or side != order[0] or attempts > 1:
                        self._sleep(settings.cool_down_s)
                    if self._stopped.is_set():
                        raise DeviceError(f"{self.name}: stopped")
                    logs[side].append(self._launch(phone, remote, sides[side], settings))
            times = [_times(each) for each in logs]
            after = self._facts(phone)
            unfit = _unfit(dict(zip(sides, times, strict=True)), after)
            if unfit is None or attempts > settings.repeats:
                break
        pair: dict[str, object] = {}
        if len(sides) == 2:
            quantized, reference = (np.array(each.rounds_ms)[:, np.newaxis] for each in times)
            summary = summarize_pair(PairTimes(reference, quantized))
            pair = {
                "reference": times[1],
                "speedup": summary.speedup,
                "ci_low": summary.ci_low,
                "ci_high": summary.ci_high,
            }
        return {
            "quantized": times[0],
            "after": after,
            "unfit": unfit,
            "attempts": attempts,
            **pair,
        }

    def _launch(
        self, phone: Phone, remote: str, side: str, settings: BenchSettings
    ) -> BenchmarkLog:
        said = phone.launch(
            remote,
            [f"./{_TOOL}", *bench_flags(f"{side}.tflite", settings)],
            doing=f"timing the {side} model",
            timeout_s=settings.timeout_s,
        )
        log = parse_log(said.text, settings.delegate)
        if said.code or log.timing is None:
            raise self._failure(said, log, settings)
        return log

    def _failure(
        self, said: Said, log: BenchmarkLog | None, settings: BenchSettings
    ) -> EdgekitError:
        """What a launch that gave no figures means."""
        serial = self._attached.serial
        if match := _NOT_THIS_ABI.search(said.text):
            return MissingError(
                f"phone {serial} cannot run {self._tool}: {_line_of(said.text, match)}", hint=_BUILD
            )
        if said.code in (126, 127) and (match := _REFUSED.search(said.text)):
            return MissingError(
                f"phone {serial} refuses to run benchmark_model: {_line_of(said.text, match)}",
                hint="SELinux or the phone's policy forbids programs in /data/local/tmp; take a "
                "phone with a userdebug build, or one that is not managed.",
            )
        if said.code in _SIGNALS:
            return DeviceError(
                f"phone {serial}: benchmark_model crashed with {_SIGNALS[said.code]} on "
                f"{settings.delegate}"
            )
        if log is not None and log.fault is not None:
            return DeviceError(
                f"phone {serial}: {settings.delegate} does not run the model: {log.fault}"
            )
        said_last = said.text.strip().splitlines()[-1:] or ["nothing"]
        return DeviceError(
            f"phone {serial}: benchmark_model ended with exit code {said.code} and printed no "
            f"times; its last line: {said_last[0][:200]}",
            hint="Is that file TensorFlow Lite's benchmark_model?",
        )

    def _answers(
        self, phone: Phone, remote: str, models: Models, settings: BenchSettings
    ) -> Answers | None:
        """The phone's outputs for ``models.inputs`` beside the host's; ``None`` where this build
        of benchmark_model writes no outputs, or there are no inputs."""
        raw: list[bytes] = []
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            for feeds in models.inputs[: settings.answers]:
                given = []
                for number, (info, content) in enumerate(raw_inputs(models.quantized, feeds)):
                    file = Path(name) / f"input{number}.bin"
                    file.write_bytes(content)
                    phone.push(file, f"{remote}/{file.name}")
                    given.append((info, file.name))
                flags = answer_flags("quantized.tflite", settings, given, "output.bin")
                said = phone.launch(
                    remote,
                    [f"./{_TOOL}", *flags],
                    doing="comparing its answers",
                    timeout_s=settings.timeout_s,
                )
                if said.code:
                    raise self._failure(said, parse_log(said.text, settings.delegate), settings)
                if phone.shell(f"ls {remote}/output.bin", doing="looking for answers").code:
                    return None
                phone.pull(f"{remote}/output.bin", Path(name) / "output.bin")
                raw.append((Path(name) / "output.bin").read_bytes())
        return compare_answers(models.quantized, models.inputs[: len(raw)], raw) if raw else None

    def _warnings(
        self,
        facts: Mapping[str, str],
        settings: BenchSettings,
        models: Models,
        answers: Answers | None,
    ) -> tuple[str, ...]:
        found = []
        if settings.delegate is Delegate.NNAPI and (said := nnapi_warning(facts)) is not None:
            found.append(said)
        if models.inputs and settings.answers and answers is None:
            found.append(
                "this build of benchmark_model writes no outputs (--output_filepath), so its "
                "answers were not compared"
            )
        return tuple(found)


def log_file(logs: Path, device: str, delegate: Delegate) -> Path:
    """Where a device's raw log goes; a serial by network has a colon."""
    return logs / f"{re.sub(r'[^A-Za-z0-9._-]', '_', device.removeprefix('adb:'))}-{delegate}.log"


def _line_of(text: str, match: re.Match[str]) -> str:
    start = text.rfind("\n", 0, match.start()) + 1
    return text[start : match.end() + 160].splitlines()[0].strip()


def _times(logs: Sequence[BenchmarkLog]) -> ModelTimes:
    """The rounds of one model. Its delegation is that of the last, as all were asked alike."""
    timings = [log.timing for log in logs if log.timing is not None]
    by_median = all(timing.median_us is not None for timing in timings)
    rounds_ms = (
        np.array([(timing.median_us if by_median else timing.mean_us) or 0.0 for timing in timings])
        / 1e3
    )
    median_ms = float(np.median(rounds_ms))
    low, high = np.percentile(rounds_ms, (25, 75))
    return ModelTimes(
        median_ms=median_ms,
        p90_ms=float(np.percentile(rounds_ms, 90)),
        p90_of="rounds",
        statistic="median" if by_median else "mean",
        min_ms=min(timing.min_us for timing in timings) / 1e3,
        max_ms=max(timing.max_us for timing in timings) / 1e3,
        spread=float((high - low) / median_ms),
        runs=sum(timing.runs for timing in timings),
        warm_up_runs=sum(log.warm_up.runs for log in logs if log.warm_up is not None),
        rounds_ms=tuple(map(float, rounds_ms)),
        delegation=logs[-1].delegation,
        init_ms=_median_ms([log.init_us for log in logs]),
        first_ms=_median_ms([log.first_us for log in logs]),
        peak_memory_mb=_largest([log.peak_memory_mb for log in logs]),
        memory_delta_mb=_largest([log.memory_delta_mb for log in logs]),
    )


def _median_ms(values_us: Sequence[float | None]) -> float | None:
    known = [value for value in values_us if value is not None]
    return float(np.median(known)) / 1e3 if known else None


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _unfit(times: Mapping[str, ModelTimes], after: Mapping[str, str]) -> str | None:
    """Why the figures cannot be believed; a phone that was hot before is hot after."""
    if throttled(after):
        return f"the phone was throttling: thermal status {after['thermal_status']}"
    noisy = [
        f"the {side} model's rounds lie {each.spread:.0%} apart"
        for side, each in times.items()
        if each.spread > SPREAD_MAX
    ]
    return f"{'; '.join(noisy)} (at most {SPREAD_MAX:.0%} can be believed)" if noisy else None
