"""Arm's kernels without a phone: the same file on LiteRT for aarch64, under qemu, bit for bit.

Only answers are compared. How long an emulator takes says nothing about any device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.environments import Environment, WorkerError
from edgekit.environments.child import Call, run_worker
from edgekit.environments.spec import WORKERS
from edgekit.errors import DeviceError, SessionError, UsageError
from edgekit.measure.devices.answers import compare_arrays
from edgekit.measure.devices.arm_tree import CPU
from edgekit.measure.devices.device import AnswersOnly, BenchSettings, Delegate, Models
from edgekit.measure.older_runtime import answers_elsewhere
from edgekit.runtimes import open_session

NAME = "qemu-aarch64"
NO_LATENCY = "emulated time is no latency: answers only"


@dataclass(frozen=True)
class QemuEnvironment:
    """Workers on the emulated core's Python, the program ``python``."""

    python: Path

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        """See ``Environment.run``."""
        script = WORKERS / f"{worker}.py"
        return run_worker(Call(NAME, self.python, script, request, folder, timeout_s))


class QemuDevice:
    """A Cortex-A76 in qemu; ``opened`` gives its environment, which is made when it is needed."""

    name = NAME

    def __init__(self, opened: Callable[[], Environment]) -> None:
        self._opened = opened

    def cancel(self) -> None:
        """See ``Device.cancel``: it is never one of several."""

    def bench(self, models: Models, settings: BenchSettings, logs: Path) -> AnswersOnly:
        """Compare the answers to ``models.inputs`` with LiteRT's here; see ``Device.bench``."""
        file, inputs = models.quantized, models.inputs[: settings.answers]
        if file.suffix != ".tflite":
            raise UsageError(f"{file.name} is no .tflite: LiteRT runs nothing else")
        if settings.delegate is not Delegate.XNNPACK:
            raise UsageError(f"{NAME} has no {settings.delegate}", hint="Take --delegate xnnpack.")
        if not inputs:
            raise UsageError(f"{NAME} compares answers only, and there are no inputs")
        with open_session(file, threads=settings.threads) as session:
            names = [info.name for info in session.info.outputs]
            here = [session.run(feeds) for feeds in inputs]
        try:
            there, said = answers_elsewhere(self._opened(), file, inputs, threads=settings.threads)
        except WorkerError as error:
            if "exit_status" in error.details or "stage" in error.details:
                how = f"LiteRT on {CPU} does not run {file.name}: {error.message}"
                raise SessionError(how, hint=error.hint) from error
            raise DeviceError(error.message, hint=error.hint) from error
        answers = compare_arrays(
            [[answer[name] for name in names] for answer in here],
            [[answer[name] for name in names] for answer in there],
        )
        return AnswersOnly(
            device=NAME,
            requested=settings.delegate,
            engine=f"litert {said.rpartition(' ')[2]} for aarch64 on {CPU}",
            answers=answers,
            why=NO_LATENCY,
        )
