"""A phone behind the Device seam: benchmark_model in turns, its figures held against its facts."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DeviceError, MissingError, UsageError
from edgekit.measure.devices.adb_client import AdbClient, Attached, unusable
from edgekit.measure.devices.answers import compare_answers, raw_inputs, tensors_by_feed
from edgekit.measure.devices.belief import compare_pair, noise, times_of_logs
from edgekit.measure.devices.benchmark_flags import RESULT_FILE, answer_flags, bench_flags
from edgekit.measure.devices.benchmark_log import BenchmarkLog, parse_log
from edgekit.measure.devices.benchmark_result import SAVED, decode_result, with_result
from edgekit.measure.devices.benchmark_tool import TOOL, check_abi, launch_failure, no_gpu_times
from edgekit.measure.devices.device import (
    Answers,
    BenchSettings,
    Delegate,
    DeviceLatency,
    Models,
    ModelTimes,
)
from edgekit.measure.devices.phone import Phone
from edgekit.measure.devices.phone_facts import SCRIPT, nnapi_warning, parse_facts, throttled
from edgekit.measure.devices.prediction import predict
from edgekit.runtimes.turns import turns


@dataclass(frozen=True)
class _Measured:
    """The last attempt: figures by side, the phone's facts after it, why it is unfit if it is."""

    times: Mapping[str, ModelTimes]
    after: Mapping[str, str]
    unfit: str | None
    attempts: int


class AdbDevice:
    """The phone ``attached``, measured by the program ``benchmark_model``."""

    def __init__(self, adb: AdbClient, attached: Attached, benchmark_model: Path) -> None:
        self._adb = adb
        self._attached = attached
        self._tool = benchmark_model
        self._stopped = threading.Event()

    @property
    def name(self) -> str:
        """See ``Device.name``."""
        return f"adb:{self._attached.serial}"

    def cancel(self) -> None:
        """See ``Device.cancel``."""
        self._stopped.set()
        self._adb.cancel()

    def bench(self, models: Models, settings: BenchSettings, logs: Path) -> DeviceLatency:
        """See ``Device.bench``; the log is ``log_file``."""
        for file in filter(None, (models.quantized, models.reference)):
            if file.suffix != ".tflite":
                raise UsageError(f"{file.name} is no .tflite: {TOOL} runs nothing else")
        if (reason := unusable(self._attached)) is not None:
            raise reason
        serial = self._attached.serial
        log = log_file(logs, self.name, settings.delegate)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        phone = Phone(self._adb, serial, log)
        before = _facts(phone)
        check_abi(self._tool, serial, before.get("abis", ""))
        _check_space(serial, before, [self._tool, models.quantized, models.reference])
        with phone.folder() as remote:
            phone.push(self._tool, f"{remote}/{TOOL}")
            allowed = phone.shell(f"chmod 755 {remote}/{TOOL}", doing="preparing it")
            if allowed.code:
                raise launch_failure(self._tool, serial, allowed, None, settings.delegate)
            sides = {"quantized": models.quantized, "float": models.reference}
            for side, model in sides.items():
                if model is not None:
                    phone.push(model, f"{remote}/{_graph(side)}")
            present = [side for side, model in sides.items() if model is not None]
            measured = self._rounds(phone, remote, present, settings)
            answers = self._answers(phone, remote, models, settings)
        quantized, reference = measured.times["quantized"], measured.times.get("float")
        pair = None if reference is None else compare_pair(reference, quantized)
        return DeviceLatency(
            device=self.name,
            serial=serial,
            model=" ".join(filter(None, map(before.get, ("manufacturer", "model")))) or serial,
            requested=settings.delegate,
            predicted=predict(models.quantized, settings.delegate),
            engine=TOOL,
            engine_sha256=hashlib.sha256(self._tool.read_bytes()).hexdigest(),
            flags=tuple(bench_flags(_graph("quantized"), settings)),
            quantized=quantized,
            reference=reference,
            speedup=None if pair is None else pair.speedup,
            ci_low=None if pair is None else pair.ci_low,
            ci_high=None if pair is None else pair.ci_high,
            threads=settings.threads,
            rounds=settings.rounds,
            attempts=measured.attempts,
            unfit=measured.unfit,
            before=before,
            after=measured.after,
            answers=answers,
            warnings=_warnings(before, settings, models, answers),
            log=log,
        )

    def _rounds(
        self, phone: Phone, remote: str, sides: Sequence[str], settings: BenchSettings
    ) -> _Measured:
        """All rounds; again where they cannot be believed, as often as the settings allow."""
        attempts = 0
        while True:
            attempts += 1
            logs: dict[str, list[BenchmarkLog]] = {side: [] for side in sides}
            for order in turns(len(sides), settings.rounds):
                for position in order:
                    if attempts > 1 or any(logs.values()):
                        self._cool_down(settings.cool_down_s)
                    if self._stopped.is_set():
                        raise DeviceError(f"{self.name}: stopped")
                    side = sides[position]
                    logs[side].append(self._launch(phone, remote, side, settings))
            times = {side: times_of_logs(each) for side, each in logs.items()}
            after = _facts(phone)
            unfit = noise(times)
            if throttled(after):  # a phone that was hot before is hot after
                unfit = f"the phone was throttling: thermal status {after['thermal_status']}"
            if unfit is None or attempts > settings.repeats:
                return _Measured(times, after, unfit, attempts)

    def _cool_down(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _launch(
        self, phone: Phone, remote: str, side: str, settings: BenchSettings
    ) -> BenchmarkLog:
        said = phone.launch(
            remote,
            [f"./{TOOL}", *bench_flags(_graph(side), settings)],
            doing=f"timing the {side} model",
            timeout_s=settings.timeout_s,
        )
        log = parse_log(said.text, settings.delegate)
        if not said.code and SAVED in said.text:
            log = self._with_result(phone, remote, log, settings)
        if said.code or log.timing is None:
            raise launch_failure(self._tool, phone.serial, said, log, settings.delegate)
        return log

    def _with_result(
        self, phone: Phone, remote: str, log: BenchmarkLog, settings: BenchSettings
    ) -> BenchmarkLog:
        """``log`` and what this launch wrote into its result file besides."""
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            file = Path(name) / RESULT_FILE
            phone.pull(f"{remote}/{RESULT_FILE}", file)
            try:
                result = decode_result(file.read_bytes())
            except ValueError as error:  # the text is what counts
                phone.note(f"({RESULT_FILE} is not read: {error})")
                return log
        phone.note(f"{RESULT_FILE}: {' '.join(f'{key}={val:g}' for key, val in result.items())}")
        if log.timing is None and settings.delegate is Delegate.GPU:
            raise no_gpu_times(phone.serial)
        return with_result(log, result)

    def _answers(
        self, phone: Phone, remote: str, models: Models, settings: BenchSettings
    ) -> Answers | None:
        """The phone's outputs for ``models.inputs`` beside the host's; ``None`` where this build
        of benchmark_model writes no outputs, or there are no inputs."""
        inputs = models.inputs[: settings.answers]
        if not inputs:
            return None
        tensors, raw = tensors_by_feed(models.quantized), list[bytes]()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            for feeds in inputs:
                given = []
                for number, (info, content) in enumerate(raw_inputs(tensors, feeds)):
                    file = Path(name) / f"input{number}.bin"
                    file.write_bytes(content)
                    phone.push(file, f"{remote}/{file.name}")
                    given.append((info, file.name))
                said = phone.launch(
                    remote,
                    [
                        f"./{TOOL}",
                        *answer_flags(_graph("quantized"), settings, given, "output.bin"),
                    ],
                    doing="comparing its answers",
                    timeout_s=settings.timeout_s,
                )
                if said.code:
                    log = parse_log(said.text, settings.delegate)
                    raise launch_failure(self._tool, phone.serial, said, log, settings.delegate)
                if phone.shell(f"ls {remote}/output.bin", doing="looking for answers").code:
                    return None
                phone.pull(f"{remote}/output.bin", Path(name) / "output.bin")
                raw.append((Path(name) / "output.bin").read_bytes())
        return compare_answers(models.quantized, inputs, raw)


def log_file(logs: Path, device: str, delegate: Delegate) -> Path:
    """Where a device's raw log goes; a serial by network has a colon."""
    return logs / f"{re.sub(r'[^A-Za-z0-9._-]', '_', device.removeprefix('adb:'))}-{delegate}.log"


def _graph(side: str) -> str:
    return f"{side}.tflite"


def _facts(phone: Phone) -> dict[str, str]:
    try:
        return parse_facts(phone.shell(SCRIPT, doing="asking what it is").text)
    except TimeoutError as error:
        raise DeviceError(f"phone {phone.serial} does not answer: {error}") from error


def _check_space(serial: str, facts: Mapping[str, str], files: Sequence[Path | None]) -> None:
    needed_kb = sum(file.stat().st_size for file in files if file is not None) // 1024 + 1
    if facts.get("free_kb", "").isdigit() and int(facts["free_kb"]) < needed_kb:
        raise MissingError(
            f"phone {serial} has no space left in /data/local/tmp: {facts['free_kb']} kB free, "
            f"{needed_kb} kB needed",
            hint="Free some space there and run this again.",
        )


def _warnings(
    facts: Mapping[str, str], settings: BenchSettings, models: Models, answers: Answers | None
) -> tuple[str, ...]:
    found = []
    if settings.delegate is Delegate.NNAPI and (said := nnapi_warning(facts)) is not None:
        found.append(said)
    if settings.profile_ops:
        found.append("operators were profiled, which takes time that these figures hold too")
    if models.inputs and settings.answers and answers is None:
        found.append(
            f"this build of {TOOL} writes no outputs (--output_filepath), so its answers were not "
            "compared"
        )
    return tuple(found)
