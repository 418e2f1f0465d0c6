"""The ``latency`` section of a recipe: times on this host, and on phones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgekit.recipe.key_doc import key_doc as _doc


@dataclass(frozen=True)
class PhoneSpec:
    """One measurement on a phone, or on all of them; see docs/devices.md."""

    device: str = field(
        default="adb",
        metadata=_doc(
            "'adb' (the only phone), 'adb:SERIAL', 'all' (every phone), or 'qemu-aarch64' or "
            "'swiftshader' (answers only)"
        ),
    )
    delegate: Literal["cpu", "xnnpack", "gpu", "nnapi"] = field(
        default="xnnpack", metadata=_doc("what is to execute the graph")
    )
    threads: int = field(default=1, metadata=_doc("CPU threads", at_least=1))
    rounds: int = field(default=6, metadata=_doc("launches of each model, in turns", at_least=2))
    runs_per_round: int = field(
        default=50, metadata=_doc("invocations in a launch, at least", at_least=1)
    )
    gpu_backend: Literal["auto", "cl", "gl"] = field(
        default="auto", metadata=_doc("of the delegate gpu: OpenCL, OpenGL, or what it chooses")
    )
    gpu_float32: bool = field(
        default=False, metadata=_doc("of the delegate gpu: no loss of precision, so no float16")
    )
    nnapi_accelerator: str | None = field(
        default=None,
        metadata=_doc("of the delegate nnapi: the accelerator's name; by default NNAPI chooses"),
    )
    nnapi_preference: (
        Literal["fast_single_answer", "sustained_speed", "low_power", "undefined"] | None
    ) = field(
        default=None,
        metadata=_doc("of the delegate nnapi: what to optimise for; by default NNAPI's own choice"),
    )
    strict: bool = field(
        default=False,
        metadata=_doc(
            "have benchmark_model refuse to run a graph that the delegate does not take whole; "
            "that is a failed check, without figures"
        ),
    )
    profile_ops: bool = field(
        default=False, metadata=_doc("a table of operators in the raw log; costs time itself")
    )
    cool_down_s: float = field(
        default=1.0, metadata=_doc("seconds to wait between launches", at_least=0)
    )
    timeout_s: float = field(
        default=300.0, metadata=_doc("seconds that one launch may take", above=0)
    )
    on_fallback: Literal["warn", "fail"] = field(
        default="warn",
        metadata=_doc("what it means that the delegate does not take the whole graph"),
    )
    answers: int = field(
        default=16,
        metadata=_doc("samples whose outputs are compared with this machine's", at_least=0),
    )
    agreement_min: float = field(
        default=0.9,
        metadata=_doc("share of those with the same largest output", at_least=0, at_most=1),
    )
    delegated_min: float | None = field(
        default=None,
        metadata=_doc(
            "share of the graph's nodes that the delegate has to take, at least; 1 is all of them",
            above=0,
            at_most=1,
        ),
    )
    latency_ms_max: float | None = field(
        default=None, metadata=_doc("median time of one inference there, ms", above=0)
    )
    speedup_min: float | None = field(
        default=None, metadata=_doc("float time / quantized time there, e.g. 1.5", above=0)
    )
    peak_memory_mb_max: float | None = field(
        default=None, metadata=_doc("what benchmark_model says is the peak, MB", above=0)
    )
    required: bool = field(
        default=True,
        metadata=_doc("whether the verdict needs it; false shows it without judging"),
    )


@dataclass(frozen=True)
class LatencySpec:
    """Host latency: float and quantized interleaved in one run. And latency on phones."""

    enabled: bool = field(default=True, metadata=_doc("measure at all"))
    threads: int = field(default=1, metadata=_doc("threads of either model", at_least=1))
    rounds: int = field(
        default=20, metadata=_doc("interleaved rounds; the interval resamples these", at_least=2)
    )
    runs_per_round: int = field(
        default=5, metadata=_doc("invocations of each model in a round", at_least=1)
    )
    devices: tuple[PhoneSpec, ...] = field(
        default=(), metadata=_doc("phones to measure on, by adb; for a .tflite only")
    )
    benchmark_model: str | None = field(
        default=None,
        metadata=_doc(
            "TensorFlow Lite's benchmark_model, built for the phones; by default the file that "
            "$EDGEKIT_BENCHMARK_MODEL names",
            refers="source",
        ),
    )
