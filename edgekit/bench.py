"""Time a model file on this host or on phones: ``edgekit bench``. No verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit.cache import content_key
from edgekit.errors import UsageError
from edgekit.measure.devices.answers import random_inputs
from edgekit.measure.devices.device import BenchSettings, Delegate, Models
from edgekit.measure.devices.emulated import EMULATIONS
from edgekit.measure.devices.select import HOST, bench_devices, check_selector, open_devices
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.device_rules import OF_ONE_DELEGATE
from edgekit.report.bench import BenchReport
from edgekit.runs.folder import default_folder
from edgekit.runtimes import open_session

_BENCHMARK_MODELS = ("strict", "profile_ops", "gpu_backend")
"""Settings of that program alone."""


def default_settings(device: str, model: Path) -> BenchSettings:
    """Rounds on this machine cost nothing but the runs; on a phone each is a launch."""
    if (emulation := EMULATIONS.get(device)) is not None:
        return BenchSettings(delegate=emulation.delegate)
    if device != HOST:
        return BenchSettings()
    delegate = Delegate.XNNPACK if model.suffix == ".tflite" else Delegate.CPU
    return BenchSettings(rounds=20, runs_per_round=5, delegate=delegate)


def bench_model(
    model: Path | str,
    *,
    device: str = HOST,
    reference: Path | str | None = None,
    settings: BenchSettings | None = None,
    benchmark_model: Path | None = None,
    logs: Path | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Time ``model`` on ``device``, in turns with the float ``reference`` where there is one.

    ``device`` is ``host``, ``adb`` (the only phone), ``adb:SERIAL`` or ``all`` (every phone, at
    once). A phone runs the user's ``benchmark_model``, by default that of
    $EDGEKIT_BENCHMARK_MODEL; its raw log goes into ``logs``. A device that fails is in the report.

    Raises:
        UsageError: files or devices that are not there, a delegate that the device has not.
        MissingError: no phone is attached, or what reaches or measures it is missing.
        SessionError: the model does not run.
    """
    check_selector(device)
    progress = progress or SilentProgress()
    file, other = Path(model), None if reference is None else Path(reference)
    for each in filter(None, (file, other)):
        if not each.is_file():
            raise UsageError(f"no such model file: {each}")
    settings = settings or default_settings(device, file)
    if settings.rounds < 2:
        raise UsageError(f"latency needs two rounds at least, not {settings.rounds}")
    _check_settings(device, settings)
    devices = open_devices(device, benchmark_model, progress)
    models = Models(file, other)
    if device != HOST and settings.answers and file.suffix == ".tflite":
        with open_session(file, isolated=True) as session:
            models = replace(models, inputs=random_inputs(session.info, settings.answers))
    logs = logs or default_folder("bench", content_key({"model": str(file), "device": device}))
    names = ", ".join(each.name for each in devices)
    with progress.task(f"Timing {file.name} on {names}"):
        return BenchReport(file, other, bench_devices(devices, models, settings, logs), logs)


def _check_settings(device: str, settings: BenchSettings) -> None:
    """What would be passed over in silence is refused: a figure without it is another figure."""
    plain = BenchSettings()
    for name, delegate in OF_ONE_DELEGATE.items():
        if settings.delegate.value != delegate and getattr(settings, name) != getattr(plain, name):
            raise UsageError(
                f"{name.replace('_', '-')} is about {delegate}, and {settings.delegate} is asked "
                "for",
                hint=f"Leave it out, or take --delegate {delegate}.",
            )
    if settings.strict and settings.delegate is Delegate.CPU:
        raise UsageError(
            "the CPU's own kernels are no delegate, which could leave something to them",
            hint="Leave --strict out, or take --delegate xnnpack, gpu or nnapi.",
        )
    for name in _BENCHMARK_MODELS if device in (HOST, *EMULATIONS) else ():
        if getattr(settings, name) != getattr(plain, name):
            raise UsageError(
                f"{name.replace('_', '-')} is benchmark_model's, which runs on phones only",
                hint="Leave it out, or take --device adb.",
            )
