"""This machine behind the Device seam: its runtimes in process, in turns, on CPUs of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgekit.environments import open_environment
from edgekit.errors import DeviceError, UsageError
from edgekit.measure.devices.answers import random_inputs
from edgekit.measure.devices.belief import compare_pair, noise, times_of_runs
from edgekit.measure.devices.device import (
    BenchSettings,
    Delegate,
    Delegation,
    DeviceLatency,
    Models,
)
from edgekit.measure.devices.prediction import predict
from edgekit.measure.devices.tflite_runtime import TFLiteRuntimeSession
from edgekit.measure.host import this_host
from edgekit.measure.latency import engine
from edgekit.measure.older_runtime import ENVIRONMENT
from edgekit.progress import Progress, SilentProgress
from edgekit.runtimes import open_timed
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.session import Session
from edgekit.runtimes.turns import times_in_turns

RUNTIMES = {
    ".tflite": "litert",
    ".onnx": "onnxruntime",
    ".ts": "torchscript",
    ".pt2": "torch_export",
}
"""What times a file here, by its extension."""


class HostDevice:
    """This machine. A ``.tflite`` runs on LiteRT, with XNNPACK or without, or on tflite-runtime."""

    name = "host"

    def __init__(self, progress: Progress | None = None) -> None:
        self._stopped = threading.Event()
        self._progress = progress or SilentProgress()

    def cancel(self) -> None:
        """See ``Device.cancel``; the attempt that is under way is finished first."""
        self._stopped.set()

    def bench(self, models: Models, settings: BenchSettings, logs: Path) -> DeviceLatency:
        """See ``Device.bench``; there is no log."""
        files = [models.quantized, *filter(None, [models.reference])]
        before = _facts()
        with pinned(settings.threads), ExitStack() as opened:
            sessions = [opened.enter_context(self._open(file, settings)) for file in files]
            sides = [(session, random_inputs(session.info, 1)[0]) for session in sessions]
            attempts = 0
            while True:
                attempts += 1
                if self._stopped.is_set():
                    raise DeviceError("host: stopped")
                runs_ms, warm_up_runs = times_in_turns(
                    sides, rounds=settings.rounds, runs_per_round=settings.runs_per_round
                )
                times = [
                    times_of_runs(runs, warm_up, _delegation(session, settings.delegate))
                    for runs, warm_up, session in zip(runs_ms, warm_up_runs, sessions, strict=True)
                ]
                unfit = noise(dict(zip(("quantized", "float"), times, strict=False)))
                if unfit is None or attempts > settings.repeats:
                    break
            caveats = {session.info.caveat: None for session in sessions if session.info.caveat}
            quantized, reference = times[0], times[1] if len(times) > 1 else None
            pair = None if reference is None else compare_pair(reference, quantized)
            return DeviceLatency(
                device=self.name,
                serial=None,
                model=before["cpu"],
                requested=settings.delegate,
                predicted=predict(models.quantized, settings.delegate),
                engine=engine(sessions[0]),
                quantized=quantized,
                reference=reference,
                speedup=None if pair is None else pair.speedup,
                ci_low=None if pair is None else pair.ci_low,
                ci_high=None if pair is None else pair.ci_high,
                threads=settings.threads,
                rounds=settings.rounds,
                attempts=attempts,
                unfit=unfit,
                before=before,
                after=_facts(),
                warnings=tuple(caveats),
            )

    def _open(self, file: Path, settings: BenchSettings) -> Session:
        runtime = RUNTIMES.get(file.suffix)
        if runtime is None:
            raise UsageError(
                f"nothing here times {file.name}", hint=f"There is {', '.join(RUNTIMES)}."
            )
        if settings.delegate not in (Delegate.CPU, Delegate.XNNPACK):
            raise UsageError(
                f"this machine has no delegate {settings.delegate}: that is a phone's",
                hint="Take --device adb, or --delegate cpu or xnnpack.",
            )
        if runtime == "litert" and settings.runtime == "tflite-runtime":
            if settings.delegate is not Delegate.CPU:
                raise UsageError(
                    "tflite-runtime does not put INT8 on XNNPACK from Python",
                    hint="Take --delegate cpu, or --runtime litert.",
                )
            environment = open_environment(ENVIRONMENT, self._progress)
            return TFLiteRuntimeSession(file, environment, threads=settings.threads)
        if settings.runtime == "tflite-runtime":
            raise UsageError(f"tflite-runtime runs .tflite, not {file.name}")
        if runtime == "litert":
            return LiteRTSession(
                file,
                threads=settings.threads,
                xnnpack=settings.delegate is Delegate.XNNPACK,
            )
        if settings.delegate is not Delegate.CPU:
            raise UsageError(
                f"{file.name} runs on {runtime}, which has no {settings.delegate}",
                hint="Leave --delegate out, or take --delegate cpu.",
            )
        return open_timed(file, threads=settings.threads, runtime=runtime)


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this thread, and those that are started meanwhile, on ``threads`` CPUs; the last of
    those allowed, as the first also serves the system. Without so many, or a system that can
    (macOS cannot), nothing is kept anywhere."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if threads >= len(allowed):
        yield
        return
    os.sched_setaffinity(0, sorted(allowed)[-threads:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _delegation(session: Session, requested: Delegate) -> Delegation:
    """What LiteRT's own list of operators says; the other runtimes have no delegates."""
    if not isinstance(session, LiteRTSession):
        return Delegation(effective=requested)
    partitions = session.delegate_partitions
    effective = Delegate.XNNPACK if partitions else Delegate.CPU
    return Delegation(effective=effective, partitions=partitions or None)


def _facts() -> dict[str, str]:
    host = this_host()
    facts = {"cpu": host.cpu, "load_1_min": f"{os.getloadavg()[0]:.2f}"}
    if host.int8_dot_product is not None:
        facts["int8_dot_product"] = str(host.int8_dot_product).lower()
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.is_file():
        facts["governor"] = governor.read_text(encoding="utf-8").strip()
    return facts
