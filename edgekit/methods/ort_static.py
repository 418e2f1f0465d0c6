"""Static INT8 ``.onnx`` with QuantizeLinear/DequantizeLinear, by ONNX Runtime's quantizer with our
own ranges: one pass over the samples, the shared estimators."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.cache import content_key
from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import (
    TensorStatistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.errors import ConversionError
from edgekit.methods.litert_build import session_threads
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.onnx.checks import opset_of
from edgekit.onnx.extremes import observed_tensors, with_extremes
from edgekit.onnx.float_rules import kept_float
from edgekit.onnx.masks import masked_nodes
from edgekit.onnx.model_file import with_layouts, write_model
from edgekit.onnx.ops import CONTROL_FLOW, listed, operators
from edgekit.onnx.prepare import prepared
from edgekit.onnx.qdq import ACTIVATION_TYPE, WEIGHT_TYPE, quantizable_nodes, with_qdq
from edgekit.runtimes.onnx_runtime import OnnxSession
from edgekit.tflite.collect import collect_extremes
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat

_STATISTICS_FILE = "statistics.npz"
# Raise when the statistics of the same graph and samples change.
_REVISION = 1


class OrtStatic:
    """Prepare, calibrate, estimate ranges, place the pairs."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        with job.progress.task("Preparing"):
            model, done = prepared(job.model.value)
        for line in (*done, *control_flow_notes(model)):
            job.progress.note(line)
        kept = kept_float(model, job.options.modules, "static")
        chosen = quantizable_nodes(model, kept)
        statistics, cached = _statistics(job, model, observed_tensors(model, chosen))
        masks = masked_nodes(model, chosen, statistics)
        if masks:
            job.progress.note(f"left float, for 8 bits hold nothing beside a mask: {listed(masks)}")
            chosen = quantizable_nodes(model, {*kept, *masks})
            statistics, cached = _statistics(job, model, observed_tensors(model, chosen))
        check_finite(statistics)
        ends = {*(spec.name for spec in job.model.inputs), *job.model.outputs}
        ranges = estimate(statistics, job.options.estimator, exact=ends)
        with job.progress.task("Quantizing"):
            quantized = with_qdq(model, chosen, ranges, per_channel=job.options.per_channel)
        file = job.folder / "model.onnx"
        write_model(with_layouts(quantized, job.model.inputs), file)
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.ONNX,
            method="ort_static",
            runtime="onnxruntime",
            notes={
                **engine_notes(quantized),
                "activations": ACTIVATION_TYPE,
                "weights": WEIGHT_TYPE,
                **({"prepared": list(done)} if done else {}),
                **({"masks": masks} if masks else {}),
                **({KEPT_FLOAT: kept} if kept else {}),
            },
        )
        return Quantized(artefact=artefact, baseline=job.model, calibration_cached=cached)


def make() -> Method:
    return OrtStatic()


def engine_notes(model: Any) -> dict[str, Any]:
    return {"engine": f"onnxruntime {version('onnxruntime')}", "opset": opset_of(model)}


def control_flow_notes(model: Any) -> tuple[str, ...]:
    """What stays float because it lies in a graph inside another."""
    flow = [op for op in operators(model) if op.op in CONTROL_FLOW]
    return (f"what lies inside stays float: {listed(flow)}",) if flow else ()


def _statistics(
    job: QuantizeJob, model: Any, tensors: tuple[str, ...]
) -> tuple[dict[str, TensorStatistics], bool]:
    """What the estimator needs of ``tensors``, from the cache where it can."""
    graph = with_extremes(model, tensors, values=needs_histogram([job.options.estimator]))
    key = content_key(
        {
            "method": "ort_static",
            "graph": hashlib.sha256(graph.data).hexdigest(),
            "inputs": job.model.inputs,
            "dataset": job.calibration.fingerprint,
            "runtime": version("onnxruntime"),
            "revision": _REVISION,
        }
    )

    def collect(folder: Path) -> None:
        instrumented = folder / "instrumented.onnx"
        instrumented.write_bytes(graph.data)
        with (
            ExitStack() as opened,
            job.progress.task("Calibrating", len(job.calibration)) as task,
        ):
            sessions = [
                opened.enter_context(OnnxSession(instrumented, job.model.inputs, threads=threads))
                for threads in session_threads(job.threads)
            ]
            collected = collect_extremes(sessions, graph, job.calibration, task)
        instrumented.unlink()
        save_statistics(collected, folder / _STATISTICS_FILE)

    if not tensors:
        raise ConversionError(
            "no operator that could be static INT8 has a float activation whose shape is known",
            hint="Export the model with fixed shapes.",
        )
    entry = job.cache.get_or_make("statistics", key, collect)
    return load_statistics(entry.path / _STATISTICS_FILE), entry.cached
