"""``ort_static`` beside ONNX Runtime's own quantizer, and an INT8 .onnx beside an INT8 .tflite."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import direct, onnx_direct_ort
from benchmarks.context import say
from benchmarks.figure import Figure
from benchmarks.process import run
from benchmarks.ratio import Ratio, ratio_of_medians
from benchmarks.torch_job import write_samples
from benchmarks.torch_run import reported_drop, run_edgekit
from edgekit.bridges.cross import cross
from edgekit.cache import Cache
from edgekit.data.roles import RunData, open_run_data
from edgekit.methods import load_method
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.runs.run import usable_cores
from edgekit.sources import locate
from edgekit.sources.source import SourceModel

RECIPE, METHOD = "mobilenet_int8", "ort_static"
ESTIMATORS = ("mean_minmax", "minmax")
"""The recipe's, which was chosen on dev, and the one that the direct calls have too."""
NAMES = {
    "minmax_int8": "ONNX Runtime MinMax, int8 activations",
    "minmax_uint8": "ONNX Runtime MinMax, uint8 activations",
    "minmax_reduced": "ONNX Runtime MinMax, uint8, reduce_range",
    "entropy_int8": "ONNX Runtime Entropy, int8 activations",
    "entropy_reduced": "ONNX Runtime Entropy, uint8, reduce_range",
}
LATENCY_ROUNDS, RUNS_PER_ROUND = 30, 5


@dataclass(frozen=True)
class Way:
    """One INT8 file; ``answers`` float32 [N, classes] to the evaluation crops, ``seconds`` of
    quantizing."""

    name: str
    file: Path
    answers: np.ndarray
    seconds: float


def ort(folder: Path) -> tuple[list[Table], list[Figure]]:
    """MobileNetV2 on the same crops, and the Keras net in both formats."""
    table, figures = mobilenet(folder)
    reports = {}
    for name in ("fashion_ort_int8", "fashion_int8"):
        say(name)
        reports[name] = run_edgekit(name, folder / name)
    return [table], [*figures, *fashion_figures(reports)]


def mobilenet(folder: Path) -> tuple[Table, list[Figure]]:
    """Quantized from one float .onnx by edgekit and by ``quantize_static``."""
    recipe = load_recipe(RECIPE, [f"quantize.method={METHOD}", "quantize.effort=fast"])
    data = open_run_data(recipe, SilentProgress())
    source = locate(recipe.model, progress=SilentProgress())
    model = cross(
        *("torch_onnx", source, data.calibration),
        threads=usable_cores(),
        cache=Cache(),
        progress=SilentProgress(),
        onnx=recipe.onnx,
    ).model
    files = {part: folder / f"{part}.npz" for part in ("calibration", "evaluation")}
    start = time.perf_counter()
    write_samples(files["calibration"], data.calibration)
    reading = time.perf_counter() - start
    write_samples(files["evaluation"], data.fidelity)
    job = {
        "model": str(model.value),
        "input": recipe.model.inputs[0].name,
        **{part: str(file) for part, file in files.items()},
        "ways": list(NAMES),
        "threads": usable_cores(),
    }
    crops = np.load(files["evaluation"])[job["input"]].transpose(0, 3, 1, 2)
    ways = [_by_edgekit(recipe, model, data, crops, folder, name) for name in ESTIMATORS]
    say(f"MobileNetV2: {', '.join(NAMES)}")
    reference, theirs = _directly(job, folder / "direct")
    ways += theirs
    say("MobileNetV2: latency")
    ratios = _speed_ups(model.value, ways, np.ascontiguousarray(crops[:1]))
    return ort_table(ways, reference, ratios), ort_figures(ways, reference, ratios, reading)


def ort_table(ways: list[Way], reference: np.ndarray, ratios: Mapping[str, Ratio]) -> Table:
    """The ways side by side."""
    table = Table("way", "agreement", "SQNR dB", "bytes", "speed-up over float", "quantizing, s")
    for way in ways:
        found, ratio = direct.compare(reference, way.answers), ratios[way.name]
        table.add_row(
            way.name,
            f"{found['agreement']:.4f}",
            f"{found['sqnr_db']:.2f}",
            f"{way.file.stat().st_size:,}",
            f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            f"{way.seconds:.1f}",
        )
    return table


def ort_figures(
    ways: list[Way], reference: np.ndarray, ratios: Mapping[str, Ratio], reading: float
) -> list[Figure]:
    """The first way is edgekit's choice; the others stand beside it."""
    found = {way.name: direct.compare(reference, way.answers) for way in ways}
    ours, others = ways[0], ways[1:]
    best = ratios[ours.name]
    return [
        Figure(
            name=f"agreement, {ours.name}",
            value=found[ours.name]["agreement"],
            beside=tuple((way.name, found[way.name]["agreement"]) for way in others),
            notes=(f"{len(reference)} crops, against the float .onnx", *_same_files(ways)),
        ),
        Figure(
            name=f"SQNR, {ours.name}",
            value=found[ours.name]["sqnr_db"],
            unit="dB",
            beside=tuple((way.name, found[way.name]["sqnr_db"]) for way in others),
        ),
        Figure(
            name=f"bytes, {ours.name}",
            value=ours.file.stat().st_size,
            beside=tuple((way.name, way.file.stat().st_size) for way in others),
        ),
        Figure(
            name=f"speed-up over the float .onnx, {ours.name}",
            value=best.value,
            unit="x",
            ci=(best.low, best.high),
            ci_kind=f"95 % bootstrap of {LATENCY_ROUNDS} rounds",
            beside=tuple((way.name, ratios[way.name].value) for way in others),
            notes=("1 thread, a plain loop of ONNX Runtime in which all files take turns",),
        ),
        Figure(
            name=f"seconds of quantizing, {ours.name}",
            value=ours.seconds,
            unit="s",
            beside=tuple((way.name, way.seconds) for way in others),
            notes=(
                f"edgekit's with reading and cutting the calibration crops, {reading:.1f} s by "
                "themselves; directly they are in memory",
            ),
        ),
    ]


def _same_files(ways: list[Way]) -> list[str]:
    """Ways that came to one file: equal figures are no accident then."""
    first: dict[bytes, str] = {}
    return [
        f"{way.name} is byte for byte {earlier}"
        for way in ways
        if (earlier := first.setdefault(way.file.read_bytes(), way.name)) != way.name
    ]


def fashion_figures(reports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """The INT8 .onnx; beside it the INT8 .tflite of the same network."""
    ours, other = reports["fashion_ort_int8"], reports["fashion_int8"]
    lost, host = reported_drop(ours["accuracy"]), ours["latency"]["host"]
    name = "fashion_ort_int8"

    def figure(what: str, key: tuple[str, str], unit: str = "") -> Figure:
        part, field = key
        beside = (("fashion_int8", other[part][field]),)
        return Figure(f"{what}, {name}", ours[part][field], unit, beside=beside)

    return [
        figure("agreement", ("fidelity", "agreement")),
        figure("SQNR", ("fidelity", "sqnr_db"), "dB"),
        Figure(
            name=f"top-1 lost, {name}",
            value=lost.points,
            unit="points",
            ci=(100 * lost.interval.low, 100 * lost.interval.high),
            ci_kind="95 % paired",
            beside=(("fashion_int8", reported_drop(other["accuracy"]).points),),
            notes=(str(lost),),
        ),
        figure("bytes", ("size", "bytes")),
        replace(
            figure("bytes over the float file's", ("size", "ratio"), "x"),
            notes=("each against the float file of its own format",),
        ),
        Figure(
            name=f"speed-up over its float file, {name}",
            value=host["speedup"],
            unit="x",
            ci=(host["ci_low"], host["ci_high"]),
            ci_kind="95 % bootstrap",
            beside=(("fashion_int8", other["latency"]["host"]["speedup"]),),
            notes=(
                f"float and INT8 {host['float_ms']:.3f} and {host['quantized_ms']:.3f} ms; "
                f"fashion_int8 {other['latency']['host']['float_ms']:.3f} and "
                f"{other['latency']['host']['quantized_ms']:.3f} ms",
            ),
        ),
    ]


def _by_edgekit(
    recipe: Recipe,
    model: SourceModel,
    data: RunData,
    crops: np.ndarray,
    folder: Path,
    estimator: str,
) -> Way:
    name = f"{METHOD}, {estimator}"
    say(f"MobileNetV2: {name}")
    own = folder / estimator
    own.mkdir()
    job = QuantizeJob(
        model=model,
        goal=Goal(model.outputs[0], classification=True),
        options=replace(recipe.quantize, estimator=estimator),
        calibration=data.calibration,
        open_dev=data.open_dev,
        open_training=data.open_training,
        folder=own,
        cache=Cache(enabled=False),
        progress=SilentProgress(),
        threads=usable_cores(),
    )
    method = load_method(METHOD)
    start = time.perf_counter()
    file = method.quantize(job).artefact.path
    seconds = time.perf_counter() - start
    return Way(name, file, onnx_direct_ort.answers(file, crops, usable_cores()), seconds)


def _directly(job: Mapping[str, Any], out: Path) -> tuple[np.ndarray, list[Way]]:
    """The float model's answers, and the ways of the direct script."""
    out.mkdir()
    file = out / "job.json"
    file.write_text(json.dumps(job))
    run([sys.executable, onnx_direct_ort.__file__, str(file), str(out)])
    done = json.loads((out / "result.json").read_text())["ways"]
    return np.load(out / "float.npy"), [
        Way(NAMES[way], out / f"{way}.onnx", np.load(out / f"{way}.npy"), found["seconds"])
        for way, found in done.items()
    ]


def _speed_ups(float_file: Path, ways: list[Way], sample: np.ndarray) -> dict[str, Ratio]:
    files = [float_file, *(way.file for way in ways)]
    times = onnx_direct_ort.time_in_turns(files, sample, LATENCY_ROUNDS, RUNS_PER_ROUND)
    before, *after = (np.median(each, axis=1).tolist() for each in times)
    return {way.name: ratio_of_medians(before, each) for way, each in zip(ways, after, strict=True)}
