"""Dynamic INT8: what it costs in accuracy, what it saves in bytes and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import direct_torch
from benchmarks.direct import compare
from benchmarks.figure import Figure, Target
from benchmarks.ratio import ratio_of_medians
from benchmarks.torch_job import TorchJob
from benchmarks.torch_run import Direct, drop, reported_drop
from edgekit.capture import captured_output
from edgekit.pytorch.dynamic_plan import FLOAT_TABLES
from edgekit.pytorch.export import quiet_warnings, torch_threads

NAMES = {
    "dynamic_linear": "quantize_dynamic, Linear",
    "dynamic_lstm": "quantize_dynamic, LSTM and Linear",
    "torchao": "torchao quantize_, eager",
}
ROUNDS = 15
RUNS = {"torchao": 1}
"""In a round of the plain loop; of others ``RUNS_PER_ROUND``."""
RUNS_PER_ROUND = 10


def accuracy(job: TorchJob, report: dict[str, Any], direct: Direct, *, limit: float) -> Figure:
    """Points of top-1 lost, at most ``limit``."""
    assert job.labels is not None
    ours = reported_drop(report["accuracy"])
    recipe, fidelity = job.recipe.name, report["fidelity"]
    beside, notes = [], [f"edgekit {ours}; on {fidelity['n']} samples {_fidelity(fidelity)}"]
    for way, answers in direct.answers.items():
        found = drop(direct.reference, answers, job.labels)
        compared = compare(direct.reference[: found.n], answers)
        beside.append((NAMES[way], found.points))
        notes.append(f"{NAMES[way]} {found}; {_fidelity(compared)}")
    return Figure(
        name=f"top-1 lost, {recipe}",
        value=ours.points,
        unit="points",
        target=Target("<=", limit),
        ci=(100 * ours.interval.low, 100 * ours.interval.high),
        ci_kind="95 % paired",
        beside=tuple(beside),
        notes=tuple(notes),
    )


def size(job: TorchJob, report: dict[str, Any], direct: Direct, *, limit: float | None) -> Figure:
    """Beside it state dicts and TorchScript files of the direct calls, and edgekit's own file with
    float tables where it has tables."""
    ours, other = report["size"], report["alternatives"].get(FLOAT_TABLES)
    beside = [] if other is None else [("edgekit, float embeddings", other["size"]["ratio"])]
    for way, found in direct.ways.items():
        beside.append((f"{NAMES[way]}, state dict", found["bytes"] / direct.float_bytes))
        if "script_bytes" in found:
            ratio = found["script_bytes"] / ours["float_bytes"]
            beside.append((f"{NAMES[way]}, TorchScript", ratio))
    return Figure(
        name=f"size ratio, {job.recipe.name}",
        value=ours["ratio"],
        unit="x",
        target=None if limit is None else Target("<=", limit),
        beside=tuple(beside),
        notes=(
            f"TorchScript: float {ours['float_bytes']:,} bytes, edgekit {ours['bytes']:,}; "
            f"state dicts: float {direct.float_bytes:,}, "
            + ", ".join(f"{NAMES[way]} {found['bytes']:,}" for way, found in direct.ways.items()),
        ),
    )


def speed(
    job: TorchJob,
    report: dict[str, Any],
    run_folder: Path,
    ways: Sequence[str],
    *,
    target: Target | None,
) -> Figure:
    """Float over INT8 as edgekit's report has it; beside it one plain loop in which the float
    module, edgekit's file and what the direct script's ``ways`` make take turns."""
    host, threads = report["latency"]["host"], job.recipe.latency.threads
    calls = _calls(job, report["artefact"]["backend"], run_folder / "model.ts", ways)
    with torch_threads(threads), quiet_warnings():
        times = direct_torch.time_in_turns(
            {name: (call, RUNS.get(name, RUNS_PER_ROUND)) for name, call in calls.items()}, ROUNDS
        )
    medians = {name: np.median(each, axis=1).tolist() for name, each in times.items()}
    plain = medians.pop("float")
    ratios = {_shown(name): ratio_of_medians(plain, each) for name, each in medians.items()}
    return Figure(
        name=f"speed-up of INT8, {job.recipe.name}",
        value=host["speedup"],
        unit="x",
        target=target,
        ci=(host["ci_low"], host["ci_high"]),
        ci_kind=f"95 % bootstrap of {host['rounds']} rounds",
        beside=tuple((name, ratio.value) for name, ratio in ratios.items()),
        notes=(
            f"edgekit's report: float {host['float_ms']:.2f} ms, INT8 {host['quantized_ms']:.2f} "
            f"ms, {host['quantized_engine']}, {threads} thread(s)",
            f"plain loop, {ROUNDS} rounds in turns: float module {np.median(plain):.2f} ms, "
            + ", ".join(
                f"{_shown(name)} {np.median(each):.2f} ms [{ratios[_shown(name)].low:.2f}, "
                f"{ratios[_shown(name)].high:.2f}]"
                for name, each in medians.items()
            ),
        ),
    )


def _calls(
    job: TorchJob, backend: str, file: Path, ways: Sequence[str]
) -> dict[str, Callable[[], Any]]:
    """What takes turns, by name; the engine, which is the process's, is set for each call."""
    jit: Any = torch.jit  # untyped
    quantized = torch.backends.quantized
    arguments = direct_torch.read_arguments(job.direct, "evaluation")[0]
    own = quantized.engine

    def call(model: direct_torch.Model, engine: str) -> Callable[[], Any]:
        def once() -> Any:
            quantized.engine = engine
            return model(*arguments)

        return once

    calls = {"float": call(job.source.value, own)}
    with captured_output(), quiet_warnings():
        for name in ways:
            quantize, _ = direct_torch.WAYS[name]
            calls[name] = call(quantize(job.source.value, ()), own)
        quantized.engine = backend
        calls["file"] = call(jit.load(str(file)), backend)
        quantized.engine = own
    return calls


def _shown(name: str) -> str:
    return "edgekit's file, plain loop" if name == "file" else NAMES[name]


def _fidelity(found: Mapping[str, float]) -> str:
    return f"agreement {found['agreement']:.4f}, {found['sqnr_db']:.1f} dB"
