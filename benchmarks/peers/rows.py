"""The rows of the table: which quantizers, how each is run. Another one is another line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.peers.environments import script_in
from benchmarks.peers.work import Work
from benchmarks.process import run
from benchmarks.whole_command import FINISHED, PACKAGES, read_report
from edgekit.cache import CACHE_DIR_VARIABLE, cache_folder

Format = Literal["tflite", "onnx"]
SHARED = (PACKAGES, "graph", "reference")
"""What edgekit's command finds in its cache: what the other peers are given too. Whatever belongs
to quantizing, as the statistics of activations, is made anew."""


@dataclass(frozen=True)
class Made:
    """What a peer made. ``seconds`` are of quantizing alone, ``peak_bytes`` its whole process's."""

    file: Path
    seconds: float
    peak_bytes: int
    note: str = ""
    version: str = ""


@dataclass(frozen=True)
class Peer:
    """``tool`` is what ``--skip`` names; ``make`` works in a folder of its own.

    ``make`` raises RuntimeError if the peer failed, EdgekitError if it is not to be had.
    """

    name: str
    tool: str
    format: Format
    make: Callable[[Work, Path], Made]


def edgekit(*overrides: str) -> Callable[[Work, Path], Made]:
    """The command ``edgekit quantize`` with ``--set`` for each of ``overrides``."""

    def make(work: Work, folder: Path) -> Made:
        command = [sys.executable, "-m", "edgekit", "quantize", "--recipe", work.recipe.name, "-q"]
        for override in (*work.overrides, *overrides):
            command += ["--set", override]
        with TemporaryDirectory() as cache:
            for kind in SHARED:
                (Path(cache) / kind).symlink_to(cache_folder() / kind)
            env = {CACHE_DIR_VARIABLE: cache}
            out = folder / "run"
            ran = run([*command, "--out", str(out)], accept=FINISHED, env=env)
        report = read_report(out)
        seconds = sum(s["seconds"] for s in report["stages"] if s["name"].startswith("quantize"))
        note = "; ".join(chosen(choice) for choice in report["choices"])
        return Made(out / "model.tflite", seconds, ran.peak_bytes, note)

    return make


def chosen(choice: Mapping[str, Any]) -> str:
    """One choice of a report and its candidates, as they were measured on dev."""
    told = []
    for each in choice["candidates"]:
        figures = each["error"] if "error" in each else f"{each['sqnr_db']:.2f} dB"
        if each.get("agreement") is not None:
            figures = f"{each['agreement']:.4f}, {figures}"
        told.append(f"{each['name']} {figures} ({each['seconds']:.1f} s)")
    return f"{choice['of']} {choice['chosen']}; on dev: {', '.join(told)}"


def directly(
    tool: str, way: str, form: Format, environment: str | None = None
) -> Callable[[Work, Path], Made]:
    """The direct script's ``tool``, by the Python of ``environment``."""

    def make(work: Work, folder: Path) -> Made:
        script = script_in(environment, work.progress)
        out = folder / f"model.{form}"
        ran = run(script.command(tool, way, str(work.job_file), str(out)), env=script.env)
        told = json.loads(Path(f"{out}.json").read_text())
        return Made(out, told["seconds"], ran.peak_bytes, version=told["version"])

    return make


def by_converter(bridge: str) -> Callable[[Work, Path], Made]:
    """TFLiteConverter on the SavedModel of ``bridge``, which is made by a process of its own."""

    def make(work: Work, folder: Path) -> Made:
        script, out = script_in(bridge, work.progress), folder / "saved_model"
        run(script.command(bridge, "saved_model", str(work.job_file), str(out)), env=script.env)
        told = json.loads(Path(f"{out}.json").read_text())
        made = directly("converter", str(out), "tflite", bridge)(work, folder)
        note = f"{told['version']} itself took {told['seconds']:.0f} s"
        return Made(made.file, made.seconds, made.peak_bytes, note, made.version)

    return make


EXACT = "ai-edge-quantizer, exact min/max"
"""Plain min/max by the engine that edgekit uses too: what sizes and latencies are held against."""
PEERS: tuple[Peer, ...] = (
    *(
        Peer(f"edgekit, {effort}", "edgekit", "tflite", edgekit(f"quantize.effort={effort}"))
        for effort in ("fast", "balanced", "best")
    ),
    Peer(
        *("ai-edge-quantizer, its own calibrator", "engine", "tflite"),
        directly("engine", "own", "tflite"),
    ),
    Peer(EXACT, "engine", "tflite", directly("engine", "exact", "tflite")),
    *(
        Peer(f"TFLiteConverter, by {bridge}", "converter", "tflite", by_converter(bridge))
        for bridge in ("onnx2tf", "onnx-tf")
    ),
    Peer("ONNX Runtime, MinMax", "ort", "onnx", directly("ort", "minmax_int8", "onnx")),
    Peer(
        *("ONNX Runtime, MinMax, reduce_range", "ort", "onnx"),
        directly("ort", "minmax_reduced", "onnx"),
    ),
    Peer("NNCF", "nncf", "onnx", directly("nncf", "default", "onnx", "nncf")),
    Peer(
        *("NNCF, full bias correction", "nncf", "onnx"),
        directly("nncf", "full", "onnx", "nncf"),
    ),
)
TOOLS = tuple(dict.fromkeys(peer.tool for peer in PEERS))
