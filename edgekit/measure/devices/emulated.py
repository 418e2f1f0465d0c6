"""Kernels without the processor they are for: the same file elsewhere on this machine, compared.

Arm's in qemu, and those of LiteRT's GPU accelerator on a Vulkan device made of software. Only
answers are compared: how long an emulator takes says nothing about any device.
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
from edgekit.measure.older_runtime import WORKER, answers_elsewhere
from edgekit.runtimes import open_session


@dataclass(frozen=True)
class Emulation:
    """What stands in for a processor: the one delegate it has, the worker that runs LiteRT there,
    ``where`` for messages, and ``why`` its clock says nothing."""

    name: str
    delegate: Delegate
    worker: str
    where: str
    why: str


QEMU = Emulation(
    name="qemu-aarch64",
    delegate=Delegate.XNNPACK,
    worker=WORKER,
    where=f"for aarch64 on {CPU}",
    why="emulated time is no latency: answers only",
)
SWIFTSHADER = Emulation(
    name="swiftshader",
    delegate=Delegate.GPU,
    worker="run_litert_gpu",
    where="with its GPU accelerator on SwiftShader",
    why="a GPU of software has no latency: answers only",
)
EMULATIONS: Mapping[str, Emulation] = {each.name: each for each in (QEMU, SWIFTSHADER)}
"""By what ``--device`` calls them."""


@dataclass(frozen=True)
class EmulatedEnvironment:
    """Workers on the Python ``python``, which starts them where they are to run."""

    name: str
    python: Path

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        """See ``Environment.run``."""
        script = WORKERS / f"{worker}.py"
        return run_worker(Call(self.name, self.python, script, request, folder, timeout_s))


class EmulatedDevice:
    """``emulation`` behind the Device seam; ``opened`` gives its environment, which is made when
    it is needed."""

    def __init__(self, emulation: Emulation, opened: Callable[[], Environment]) -> None:
        self._emulation = emulation
        self._opened = opened

    @property
    def name(self) -> str:
        """See ``Device.name``."""
        return self._emulation.name

    def cancel(self) -> None:
        """See ``Device.cancel``: it is never one of several."""

    def bench(self, models: Models, settings: BenchSettings, logs: Path) -> AnswersOnly:
        """Compare the answers to ``models.inputs`` with LiteRT's here; see ``Device.bench``."""
        emulation = self._emulation
        file, inputs = models.quantized, models.inputs[: settings.answers]
        if file.suffix != ".tflite":
            raise UsageError(f"{file.name} is no .tflite: LiteRT runs nothing else")
        if settings.delegate is not emulation.delegate:
            raise UsageError(
                f"{self.name} has no {settings.delegate}",
                hint=f"Take --delegate {emulation.delegate}.",
            )
        if not inputs:
            raise UsageError(f"{self.name} compares answers only, and there are no inputs")
        with open_session(file, threads=settings.threads) as session:
            names = [info.name for info in session.info.outputs]
            here = [session.run(feeds) for feeds in inputs]
        try:
            there, said = answers_elsewhere(
                self._opened(),
                file,
                inputs,
                threads=settings.threads,
                worker=emulation.worker,
                float32=settings.gpu_float32,
            )
        except WorkerError as error:
            if "exit_status" in error.details or "stage" in error.details:
                how = f"LiteRT {emulation.where} does not run {file.name}: {error.message}"
                raise SessionError(how, hint=error.hint) from error
            raise DeviceError(error.message, hint=error.hint) from error
        answers = compare_arrays(
            [[answer[name] for name in names] for answer in here],
            [[answer[name] for name in names] for answer in there],
        )
        left = f"{emulation.delegate} did not take the whole graph; the CPU ran the rest"
        return AnswersOnly(
            device=self.name,
            requested=settings.delegate,
            engine=f"litert {said['runtime']} {emulation.where}",
            answers=answers,
            why=emulation.why,
            warnings=() if said.get("whole", True) else (left,),
            whole=bool(said.get("whole", True)),
        )
