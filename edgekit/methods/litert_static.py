"""Full-integer ``.tflite`` from the float graph, by ai-edge-quantizer with our own ranges.

The engine is sound; its calibrator is what costs accuracy. So calibration is ours (one pass, exact
extremes), handed over in the form the engine's own calibrator would give.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.cache import content_key
from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import (
    Range,
    TensorStatistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.calibrate.subset import VALUES_MAX
from edgekit.methods.litert_engine import engine_name, run_engine, weight_granularity
from edgekit.methods.method import Method, Quantized, QuantizeJob
from edgekit.recipe.schema import QuantizeSpec
from edgekit.runtimes import open_session
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.ends import with_end_types
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.float_rules import estimators_apart, kept_float
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.names import unique_names
from edgekit.tflite.reductions import with_extremes
from edgekit.tflite.rewrite import rewrite_for_int8
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFormat

if TYPE_CHECKING:
    from ai_edge_quantizer.quantizer import Quantizer

_STATISTICS_FILE = "statistics.npz"
# Raise when the statistics of the same graph and samples change.
_REVISION = 1

SESSIONS_MAX = 4
"""Calibrating at once; each holds the weights and a working memory of its own."""


class LitertStatic:
    """Rewrite, calibrate, estimate ranges, quantize."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        float_file: Path = job.model.value
        data, rewritten = rewrite_for_int8(unique_names(float_file.read_bytes()))
        for line in rewritten:
            job.progress.note(f"rewrote {line} exactly, so that it can run in INT8")
        graph = parse_graph(data)
        apart = estimators_apart(graph, job.options.modules)
        values = needs_histogram([job.options.estimator, *apart.values()])
        statistics, cached = _statistics(job, data, values=values)
        check_finite(statistics)
        kept = kept_float(graph, job.options.modules)
        ends = {graph.tensors[index].name for index in (*graph.inputs, *graph.outputs)}
        ranges = estimate(statistics, job.options.estimator, exact=ends, apart=apart)
        with job.progress.task("Quantizing"):
            quantized = _run_engine(data, ranges, job.options, kept)
        file = job.folder / "model.tflite"
        # The engine writes every zero point of every channel out.
        file.write_bytes(pack(unpack(quantized)))
        artefact = Artefact(
            path=file,
            format=ArtefactFormat.TFLITE,
            method="litert_static",
            runtime="litert",
            notes={
                "engine": engine_name(),
                "rewritten": list(rewritten),
                **({KEPT_FLOAT: kept} if kept else {}),
            },
        )
        return Quantized(artefact=artefact, baseline=job.model, calibration_cached=cached)


def make() -> Method:
    return LitertStatic()


def _statistics(
    job: QuantizeJob, data: bytes, *, values: bool
) -> tuple[dict[str, TensorStatistics], bool]:
    """The extremes of every activation of the graph in ``data``, and with ``values`` histograms,
    from the cache where it can."""
    key = content_key(
        {
            "graph": hashlib.sha256(data).hexdigest(),
            "dataset": job.calibration.fingerprint,
            "runtime": version("ai-edge-litert"),
            "revision": _REVISION,
            **({"values": VALUES_MAX} if values else {}),
        }
    )

    def collect(folder: Path) -> None:
        graph = with_extremes(data, values=values)
        instrumented = folder / "instrumented.tflite"
        instrumented.write_bytes(graph.data)
        with (
            ExitStack() as opened,
            job.progress.task("Calibrating", len(job.calibration)) as task,
        ):
            sessions = [
                opened.enter_context(open_session(instrumented, threads=threads))
                for threads in session_threads(job.threads)
            ]
            collected = collect_extremes(sessions, graph, job.calibration, task)
        instrumented.unlink()
        save_statistics(collected, folder / _STATISTICS_FILE)

    entry = job.cache.get_or_make("statistics", key, collect)
    return load_statistics(entry.path / _STATISTICS_FILE), entry.cached


def session_threads(threads: int) -> list[int]:
    """Threads of each session: samples are shared first, since a reduction to one value keeps one
    thread busy and the others waiting."""
    sessions = min(threads, SESSIONS_MAX)
    return [threads // sessions] * sessions


def _run_engine(
    data: bytes, ranges: Mapping[str, Range], options: QuantizeSpec, kept: Collection[str]
) -> bytes:
    quantized = run_engine(
        data,
        partial(_configure, options=options, kept=kept),
        {
            name: {
                "min": np.array([limits.min], dtype=np.float32),
                "max": np.array([limits.max], dtype=np.float32),
            }
            for name, limits in ranges.items()
        },
    )
    return with_end_types(
        quantized, input_dtype=options.input_dtype, output_dtype=options.output_dtype
    )


def _configure(engine: Quantizer, options: QuantizeSpec, kept: Collection[str]) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    engine.add_static_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=weight_granularity(per_channel=options.per_channel),
    )
    if kept:
        # To the engine an operator is called by its outputs, each with a semicolon behind it.
        layers = "|".join(re.escape(layer) for layer in kept)
        engine.update_quantization_recipe(
            regex=f"^(?:{layers});",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
