"""TensorFlow's recipes: fidelity, accuracy, size, and the time of converting."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import direct, direct_tf
from benchmarks.figure import Figure, Target
from benchmarks.latency import NO_DOT_PRODUCT
from benchmarks.ratio import ratio_of_medians
from benchmarks.tf_job import Direct, TFJob
from benchmarks.torch_run import drop, reported_drop
from edgekit.capture import captured_output
from edgekit.measure.host import this_host
from edgekit.methods import METHODS

NAMES = {
    "int8": "TFLiteConverter, full INT8",
    "int8_float_ops": "TFLiteConverter, INT8 where it can",
    "dynamic": "TFLiteConverter, dynamic range",
    "peer": "the author's .tflite",
}
AGREEMENT, DROP_POINTS, SIZE, TIME = 0.99, 0.5, 1.02, 1.15
CONVERSION_ROUNDS = 5
LATENCY_ROUNDS, RUNS_PER_ROUND = 20, 20


def agreement(
    job: TFJob, report: dict[str, Any], done: Direct, *, limit: float | None = AGREEMENT
) -> Figure:
    """With the float model in TensorFlow, on the same samples."""
    ours, theirs = report["fidelity"], _compared(job, done)
    n = len(done.reference[job.recipe.model.outputs[0]])
    return Figure(
        name=f"agreement, {job.recipe.name}",
        value=ours["agreement"],
        target=None if limit is None else Target(">=", limit),
        beside=tuple((NAMES[way], found["agreement"]) for way, found in theirs.items()),
        notes=(
            f"edgekit on {ours['n']} samples, {ours['sqnr_db']:.1f} dB; directly on {n}: "
            + ", ".join(f"{NAMES[way]} {found['sqnr_db']:.1f} dB" for way, found in theirs.items()),
            _chosen(report),
        ),
    )


def agreement_of(job: TFJob, done: Direct, way: str) -> float:
    """What ``agreement`` is held against where another file is the measure."""
    return _compared(job, done)[way]["agreement"]


def sqnr(job: TFJob, report: dict[str, Any], done: Direct) -> list[Figure]:
    """Of every output, for models whose outputs are no classes."""
    return [
        Figure(
            name=f"SQNR of {output}, {job.recipe.name}",
            value=report["fidelity"]["outputs"][output]["sqnr_db"],
            unit="dB",
            beside=tuple(
                (
                    NAMES[way],
                    direct.compare(_rows(done.reference, output), _rows(answers, output))[
                        "sqnr_db"
                    ],
                )
                for way, answers in done.answers.items()
            ),
            notes=tuple(
                f"{NAMES[way]} fails: {found['failed']}"
                for way, found in done.ways.items()
                if found["failed"] is not None
            ),
        )
        for output in job.recipe.model.outputs
    ]


def accuracy(job: TFJob, report: dict[str, Any], done: Direct) -> Figure:
    """Points of top-1 lost."""
    assert job.labels is not None
    ours, primary = reported_drop(report["accuracy"]), job.recipe.model.outputs[0]
    theirs = {
        way: drop(_rows(done.reference, primary), _rows(answers, primary), job.labels)
        for way, answers in done.answers.items()
    }
    return Figure(
        name=f"top-1 lost, {job.recipe.name}",
        value=ours.points,
        unit="points",
        target=Target("<=", DROP_POINTS),
        ci=(100 * ours.interval.low, 100 * ours.interval.high),
        ci_kind="95 % paired",
        beside=tuple((NAMES[way], found.points) for way, found in theirs.items()),
        notes=(str(ours), *(f"{NAMES[way]} {found}" for way, found in theirs.items())),
    )


def size(
    job: TFJob, file: Path, done: Direct, *, beside: str, limit: float | None = SIZE
) -> Figure:
    """Bytes over those of the file called ``beside``."""
    ours = file.stat().st_size
    return Figure(
        name=f"bytes over those of {NAMES[beside]}, {job.recipe.name}",
        value=ours / done.ways[beside]["bytes"],
        unit="x",
        target=None if limit is None else Target("<=", limit),
        notes=(
            f"edgekit {ours:,} bytes, metadata included; "
            + ", ".join(f"{NAMES[way]} {found['bytes']:,}" for way, found in done.ways.items()),
        ),
    )


def conversion(job: TFJob) -> Figure:
    """edgekit's converting to full INT8 over the direct call, one process, in turns; the model is
    loaded and the samples are in memory on both sides."""
    from edgekit.tensorflow.convert import Scheme, convert

    model, samples = job.source.value, list(job.data.calibration)
    plain = direct_tf.load_model(job.direct)
    feeds = direct_tf.read_feeds(job.direct, "calibration")
    ours, theirs = [], []
    for _ in range(CONVERSION_ROUNDS):
        start = time.perf_counter()
        convert(
            model,
            job.recipe.model.inputs,
            job.recipe.model.outputs,
            scheme=Scheme.INT8,
            samples=samples,
            options=job.recipe.quantize,
        )
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        with captured_output():
            direct_tf.full_integer(job.direct, plain, feeds).convert()
        theirs.append(time.perf_counter() - start)
    ratio = ratio_of_medians(ours, theirs)
    return Figure(
        name=f"time of converting over the direct call's, {job.recipe.name}",
        value=ratio.value,
        unit="x",
        target=Target("<=", TIME),
        ci=(ratio.low, ratio.high),
        ci_kind=f"95 % bootstrap of {CONVERSION_ROUNDS} rounds",
        notes=(
            f"{len(samples)} samples; medians {np.median(ours):.2f} and {np.median(theirs):.2f} s",
        ),
    )


def latency(
    job: TFJob,
    report: dict[str, Any],
    file: Path,
    other: Path,
    name: str,
    *,
    target: Target | None,
) -> Figure:
    """Time of ``other`` over that of edgekit's file, one thread, in turns."""
    sample = direct_tf.read_feeds(job.direct, "evaluation")[0][job.direct["inputs"][0]][0]
    ours, theirs = direct.time_in_turns([file, other], sample, 1, LATENCY_ROUNDS, RUNS_PER_ROUND)
    ratio = ratio_of_medians(np.median(theirs, axis=1).tolist(), np.median(ours, axis=1).tolist())
    notes = [f"medians {np.median(ours):.3f} and {np.median(theirs):.3f} ms, 1 thread"]
    host = this_host()
    if METHODS[report["method"]].full_integer and host.int8_dot_product is False:
        notes.append(NO_DOT_PRODUCT.format(cpu=host.cpu))
    return Figure(
        name=f"speed-up over {name}, {job.recipe.name}",
        value=ratio.value,
        unit="x",
        target=target,
        ci=(ratio.low, ratio.high),
        ci_kind=f"95 % bootstrap of {LATENCY_ROUNDS} rounds",
        notes=tuple(notes),
    )


def _compared(job: TFJob, done: Direct) -> dict[str, dict[str, float]]:
    """Each way's answers against the float model's."""
    primary = job.recipe.model.outputs[0]
    return {
        way: direct.compare(_rows(done.reference, primary), _rows(answers, primary))
        for way, answers in done.answers.items()
    }


def _rows(answers: dict[str, np.ndarray], output: str) -> np.ndarray:
    array = answers[output]
    return array.reshape(len(array), -1)


def _chosen(report: dict[str, Any]) -> str:
    return f"method {report['method']}"
