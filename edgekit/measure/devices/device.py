"""The Device seam: models timed in turns, somewhere, and how far the figures can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from edgekit.errors import EdgekitError
from edgekit.types import Feeds


class Delegate(StrEnum):
    """What is asked to execute the graph. ``cpu`` is TensorFlow Lite's own kernels."""

    CPU = "cpu"
    XNNPACK = "xnnpack"
    GPU = "gpu"
    NNAPI = "nnapi"


@dataclass(frozen=True)
class BenchSettings:
    """How to measure. A round times each model once, ``runs_per_round`` invocations at least.

    ``strict`` refuses to run a graph that a delegate does not take whole; ``cool_down_s`` are
    waited between launches on a phone, ``timeout_s`` is how long one launch may take. ``repeats``
    is how often a throttled or noisy measurement is taken again. ``profile_ops`` has the phone's
    log hold a table of operators (which costs time itself); ``runtime`` is what runs a ``.tflite``
    on this host; ``answers`` is for how many inputs a
    phone's outputs are compared with the host's.
    """

    delegate: Delegate = Delegate.XNNPACK
    threads: int = 1
    rounds: int = 6
    runs_per_round: int = 50
    min_secs: float = 1.0
    cool_down_s: float = 1.0
    timeout_s: float = 300.0
    repeats: int = 1
    strict: bool = False
    gpu_backend: Literal["auto", "cl", "gl"] = "auto"
    gpu_float32: bool = False
    nnapi_accelerator: str | None = None
    nnapi_preference: str | None = None
    profile_ops: bool = False
    runtime: Literal["litert", "tflite-runtime"] = "litert"
    answers: int = 4


@dataclass(frozen=True)
class Models:
    """The files to time; ``reference`` is the float model, where there is one to compare with."""

    quantized: Path
    reference: Path | None = None
    inputs: tuple[Feeds, ...] = field(default=(), repr=False, compare=False)
    """Inputs of ``quantized``, as it stores them, for the comparison of answers."""


@dataclass(frozen=True)
class Delegation:
    """Which delegate took the graph, as far as the runtime says.

    ``effective`` is ``None`` where it says nothing. ``complete`` is whether the delegate took all
    of the graph, ``nodes`` of ``graph_nodes`` it took, in ``partitions`` pieces. ``said`` are the
    lines this was read from.
    """

    effective: Delegate | None = None
    complete: bool | None = None
    nodes: int | None = None
    graph_nodes: int | None = None
    partitions: int | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """What a delegate is expected to take, from the file alone: ``nodes`` of ``graph_nodes``, in
    ``partitions`` pieces."""

    nodes: int
    graph_nodes: int
    partitions: int


@dataclass(frozen=True)
class ModelTimes:
    """One model on one device.

    ``median_ms`` is the median of the rounds' medians (of their means, where ``statistic`` says
    so: older builds of benchmark_model print no median). ``p90_ms`` is the 90th percentile of
    ``p90_of``: all runs, or the rounds' medians where single runs are not known. ``spread`` is
    the range between the quartiles of the rounds' medians over the median.
    """

    median_ms: float
    p90_ms: float
    p90_of: Literal["runs", "rounds"]
    statistic: Literal["median", "mean"]
    min_ms: float
    max_ms: float
    spread: float
    runs: int
    warm_up_runs: int
    rounds_ms: tuple[float, ...]
    delegation: Delegation
    init_ms: float | None = None
    first_ms: float | None = None
    peak_memory_mb: float | None = None
    memory_delta_mb: float | None = None


@dataclass(frozen=True)
class Answers:
    """A device's outputs beside the host's (LiteRT, XNNPACK) for the same ``n`` inputs.

    ``max_abs`` is the largest difference as the model stores its outputs (in steps of an integer
    output; ``None`` where one side answers with no finite number and the other does not),
    ``agreement`` the share of inputs whose largest output is the same.
    """

    n: int
    agreement: float
    max_abs: float | None
    integer: bool


@dataclass(frozen=True)
class DeviceLatency:
    """What one device measured, how, and whether it can be believed (``unfit`` says why not).

    ``speedup`` is float time / quantized time with its 95 % interval. ``before`` and ``after``
    are the device's facts, ``predicted`` is what the requested delegate was expected to take of
    the quantized file; ``engine`` is what ran the models, ``engine_sha256`` its file's, ``flags``
    what it was given for the quantized one.
    """

    device: str
    serial: str | None
    model: str
    requested: Delegate
    engine: str
    quantized: ModelTimes
    threads: int
    rounds: int
    attempts: int = 1
    reference: ModelTimes | None = None
    speedup: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    unfit: str | None = None
    predicted: Prediction | None = None
    engine_sha256: str | None = None
    flags: tuple[str, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    answers: Answers | None = None
    warnings: tuple[str, ...] = ()
    log: Path | None = None


@dataclass(frozen=True)
class DeviceFailure:
    """A device on which nothing was measured; ``log`` is what it said until then."""

    device: str
    requested: Delegate
    error: EdgekitError
    log: Path | None = None


@dataclass(frozen=True)
class AnswersOnly:
    """A device whose clock says nothing (``why``): only its answers were compared."""

    device: str
    requested: Delegate
    engine: str
    answers: Answers
    why: str
    warnings: tuple[str, ...] = ()
    whole: bool = True
    """Whether the delegate took the whole graph."""


Found = DeviceLatency | DeviceFailure | AnswersOnly
"""What came of one device."""


class Device(Protocol):
    """Something that can time models."""

    @property
    def name(self) -> str:
        """``host``, ``adb:SERIAL``, ``qemu-aarch64`` or ``swiftshader``."""

    def bench(
        self, models: Models, settings: BenchSettings, logs: Path
    ) -> DeviceLatency | AnswersOnly:
        """Time ``models``; raw logs go into the folder ``logs``.

        Raises:
            MissingError: the device, or something on it, is not there or not usable.
            DeviceError: it failed while measuring. The device is left clean where it is reachable.
            SessionError: the model, or the delegate with it, does not run there.
            UsageError: no such delegate, or no such format, on this kind of device.
        """

    def cancel(self) -> None:
        """End what is under way, from another thread; ``bench`` then raises."""


def fallback(latency: DeviceLatency) -> str | None:
    """What the requested delegate did not take, as a sentence; ``None`` where it took all, or all
    it could of what no delegate but itself was asked for."""
    found = latency.quantized.delegation
    asked = latency.requested
    if found.effective is None:
        return f"{asked} was asked for; the log does not say what executed the graph"
    if found.effective is not asked:
        return f"{asked} was asked for, and {found.effective} executed the graph"
    if asked is Delegate.CPU or found.complete is not False:
        return None
    parts = ""
    if found.partitions is not None:
        parts = f", in {found.partitions} partition{'' if found.partitions == 1 else 's'}"
    if found.nodes is not None and found.graph_nodes is not None:
        return f"{asked} took {found.nodes} of {found.graph_nodes} nodes{parts}; the CPU the rest"
    return f"{asked} took a part of the graph{parts}; the CPU the rest"
