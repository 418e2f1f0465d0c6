"""The phones that a recipe asks for: the artefact on them, in turns with its float model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edgekit.artefact import open_artefact
from edgekit.errors import EdgekitError
from edgekit.fetch import fetch
from edgekit.measure.devices.device import (
    BenchSettings,
    Delegate,
    DeviceFailure,
    Found,
    Models,
)
from edgekit.measure.devices.select import bench_devices, open_devices
from edgekit.recipe.latency_spec import PhoneSpec
from edgekit.runs.run import Run
from edgekit.runtimes.predict import stored_feeds
from edgekit.runtimes.renamed import in_own_names
from edgekit.sources.source import SourceModel
from edgekit.types import Artefact, ModelKind, Sample

LOGS = "devices"
"""The folder of raw logs, in that of the run."""


@dataclass(frozen=True)
class OnDevices:
    """One entry of ``latency.devices``, and what each phone it names measured."""

    asked: PhoneSpec
    found: tuple[Found, ...]


def measure_on_devices(
    run: Run, baseline: SourceModel, artefact: Artefact, samples: Iterable[Sample]
) -> tuple[OnDevices, ...]:
    """Measure each entry, one after another; ``samples`` are those whose answers are compared.

    A phone on which nothing can be measured is told in its place, and ends no run.
    """
    asked = run.recipe.latency.devices
    if not asked:
        return ()
    reference = baseline.files["model"] if baseline.kind is ModelKind.FLOAT_TFLITE else None
    most = max(phone.answers for phone in asked)
    with open_artefact(artefact) as session:
        feeds = [stored_feeds(session, sample) for sample in islice(samples, most)]
    # A device opens the file itself, which may call its inputs otherwise than the model does.
    inputs = tuple(in_own_names(each, artefact.renamed) for each in feeds)
    models = Models(artefact.path, reference, inputs)
    measured = []
    with run.stage("devices"):
        for phone in asked:
            with run.progress.task(f"Timing on {phone.device}, {phone.delegate}"):
                found = _measure(run, phone, models)
            measured.append(OnDevices(phone, found))
            for each in found:
                _remark_on(run, phone, each)
    return tuple(measured)


def bench_settings(phone: PhoneSpec) -> BenchSettings:
    """What ``edgekit bench`` has as flags, from the recipe's keys of the same names."""
    return BenchSettings(
        delegate=Delegate(phone.delegate),
        threads=phone.threads,
        rounds=phone.rounds,
        runs_per_round=phone.runs_per_round,
        cool_down_s=phone.cool_down_s,
        timeout_s=phone.timeout_s,
        strict=phone.strict,
        gpu_backend=phone.gpu_backend,
        gpu_float32=phone.gpu_float32,
        nnapi_accelerator=phone.nnapi_accelerator,
        nnapi_preference=phone.nnapi_preference,
        profile_ops=phone.profile_ops,
        answers=phone.answers,
    )


def _measure(run: Run, phone: PhoneSpec, models: Models) -> tuple[Found, ...]:
    delegate, tool = Delegate(phone.delegate), run.recipe.latency.benchmark_model
    settings = bench_settings(phone)
    logs: Path = models.quantized.parent / LOGS
    try:
        given = None if tool is None else fetch(tool, sha256=None, progress=run.progress)
        return bench_devices(
            open_devices(phone.device, given, run.progress), models, settings, logs
        )
    except EdgekitError as error:
        return (DeviceFailure(phone.device, delegate, error),)


def _remark_on(run: Run, phone: PhoneSpec, found: Found) -> None:
    if isinstance(found, DeviceFailure):
        hint = "" if found.error.hint is None else f". {' '.join(found.error.hint.split())}"
        run.warn(f"{found.device}, {phone.delegate}: not measured: {found.error.message}{hint}")
        return
    for warning in found.warnings:
        run.warn(f"{found.device}, {phone.delegate}: {warning}")
