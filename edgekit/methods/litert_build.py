"""A float ``.tflite`` graph to INT8 bytes: calibrate, estimate ranges, let the engine quantize.

The engine is sound; its calibrator is what costs accuracy. So calibration is ours (one pass, exact
extremes), handed over in the form the engine's own calibrator would give.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.cache import content_key
from edgekit.calibrate import estimate, needs_histogram
from edgekit.calibrate.statistics import (
    Range,
    Statistics,
    check_finite,
    load_statistics,
    save_statistics,
)
from edgekit.calibrate.subset import VALUES_MAX
from edgekit.errors import ConversionError
from edgekit.methods.litert_engine import run_engine, weight_granularity
from edgekit.methods.method import QuantizeJob
from edgekit.optimize.equalize import equalize, linked_tensors
from edgekit.recipe.schema import QuantizeSpec
from edgekit.runtimes import open_session
from edgekit.tflite.biases import with_biases_in_range
from edgekit.tflite.collect import collect_extremes
from edgekit.tflite.ends import with_end_types
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.float_rules import estimators_apart, kept_float
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.tflite.reductions import with_extremes
from edgekit.tflite.rewrite import with_hard_swish_in_parts
from edgekit.types import RAISED_TO_FLOAT

if TYPE_CHECKING:
    from ai_edge_quantizer.quantizer import Quantizer

_FLOW = frozenset({"IF", "WHILE"})
INT16 = "int16"
_STATISTICS_FILE = "statistics.npz"
# Raise when the statistics of the same graph and samples change.
_REVISION = 1

SESSIONS_MAX = 4
"""Calibrating at once; each holds the weights and a working memory of its own."""


@dataclass(frozen=True)
class Built:
    """``data``, a float graph, quantized with the ``ranges`` of ``estimator``.

    ``reference`` computes what the model computes; ``data`` differs from it where weights and
    biases make up for what quantizing costs. ``ranges`` were made from ``statistics``. ``kept``
    are the layers that stay float, with the reason; ``raised`` those of a higher precision than
    the rest, with that precision, and ``notes`` what is to be said of them; ``cached`` says
    whether the samples were run at all.
    """

    reference: bytes
    data: bytes
    estimator: str
    ranges: Mapping[str, Range]
    statistics: Statistics
    quantized: bytes
    kept: Mapping[str, str]
    cached: bool
    raised: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def build(job: QuantizeJob, data: bytes, estimator: str) -> Built:
    """Quantize the float graph in ``data``, whose tensors have unique names, as ``job`` asks.

    Raises:
        ConversionError: NaN or infinity in an activation, or the engine refused the graph.
    """
    graph = parse_graph(data)
    apart = estimators_apart(graph, job.options.modules)
    statistics, cached = _statistics(
        job,
        data,
        values=needs_histogram([estimator, *apart.values()]),
        by_channel=linked_tensors(data) if job.options.effort != "fast" else frozenset(),
    )
    check_finite(statistics)
    ranges = _ranges(job, graph, estimator, statistics)
    kept = kept_float(graph, job.options.modules)
    quantized = _quantized(job, data, ranges, kept, {})
    return Built(data, data, estimator, ranges, statistics, quantized, kept, cached)


def build_equalized(job: QuantizeJob, before: Built) -> Built | None:
    """``before``, the result of ``build``, with its channels equalized; ``None`` where there is
    nothing to equalize.

    Raises:
        ConversionError: the engine refused the graph.
    """
    found = equalize(before.reference, before.statistics)
    if found is None:
        return None
    graph = parse_graph(found.data)
    apart = estimators_apart(graph, job.options.modules)
    if needs_histogram([before.estimator, *apart.values()]):
        return build(job, found.data, before.estimator)
    ranges = _ranges(job, graph, before.estimator, found.statistics)
    quantized = _quantized(job, found.data, ranges, before.kept, {})
    return replace(
        before,
        reference=found.data,
        data=found.data,
        ranges=ranges,
        statistics=found.statistics,
        quantized=quantized,
    )


def rebuild(job: QuantizeJob, before: Built, data: bytes) -> Built:
    """``before`` with the weights and biases of ``data``, and the same ranges."""
    quantized = _quantized(job, data, before.ranges, before.kept, before.raised)
    return replace(before, data=data, quantized=quantized)


def rebuild_raised(
    job: QuantizeJob,
    before: Built,
    raised: Mapping[str, str],
    unclipped: Collection[str],
    data: bytes,
) -> Built:
    """``before`` with the weights of ``data`` and the layers in ``raised`` at the precision that
    they map to, ``int16`` or ``float32``. The tensors named in ``unclipped`` are stored with their
    exact extremes: where steps are fine, clipping gains nothing."""
    exact = {name: before.statistics[name] for name in unclipped}
    ranges = {**before.ranges, **estimate(exact, "minmax")}
    kept = {layer: RAISED_TO_FLOAT for layer, to in raised.items() if to == "float32"}
    changed = replace(before, ranges=ranges, kept={**kept, **before.kept}, raised=raised)
    return rebuild(job, changed, data)


def _ranges(
    job: QuantizeJob, graph: Graph, estimator: str, statistics: Statistics
) -> dict[str, Range]:
    ends = {graph.tensors[index].name for index in (*graph.inputs, *graph.outputs)}
    apart = estimators_apart(graph, job.options.modules)
    return estimate(statistics, estimator, exact=ends, apart=apart)


def _quantized(
    job: QuantizeJob,
    data: bytes,
    ranges: Mapping[str, Range],
    kept: Collection[str],
    raised: Mapping[str, str],
) -> bytes:
    data, parts = with_hard_swish_in_parts(data, [name for name in raised if raised[name] == INT16])
    ranges = {**ranges, **{name: Range(*ends) for name, ends in parts.items()}}
    raised = {**raised, **dict.fromkeys(parts, INT16)}
    try:
        with job.progress.task("Quantizing"):
            # Packed anew: the engine writes every zero point of every channel out.
            return pack(unpack(_run_engine(data, ranges, job.options, kept, raised)))
    except ConversionError as error:
        graph = parse_graph(data)
        flow = [f"{op.name} at {graph.layer(op)}" for op in graph.ops if op.name in _FLOW]
        if not flow:
            raise
        raise ConversionError(
            f"static INT8 does not reach the operators inside {', '.join(flow)}",
            hint="Export the model without control flow, or keep the activations float: "
            "quantize.method: litert_weight_only.",
        ) from error


def _statistics(
    job: QuantizeJob, data: bytes, *, values: bool, by_channel: Collection[str]
) -> tuple[Statistics, bool]:
    """The extremes of every activation of the graph in ``data``, and with ``values`` histograms,
    from the cache where it can."""
    key = content_key(
        {
            "graph": hashlib.sha256(data).hexdigest(),
            "dataset": job.calibration.fingerprint,
            "runtime": version("ai-edge-litert"),
            "revision": _REVISION,
            **({"values": VALUES_MAX} if values else {}),
            **({"by_channel": sorted(by_channel)} if by_channel else {}),
        }
    )

    def collect(folder: Path) -> None:
        graph = with_extremes(data, values=values, by_channel=by_channel)
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
    data: bytes,
    ranges: Mapping[str, Range],
    options: QuantizeSpec,
    kept: Collection[str],
    raised: Mapping[str, str],
) -> bytes:
    quantized = run_engine(
        data,
        partial(_configure, options=options, kept=kept, raised=raised),
        {
            name: {
                "min": np.array([limits.min], dtype=np.float32),
                "max": np.array([limits.max], dtype=np.float32),
            }
            for name, limits in _not_empty(ranges).items()
        },
    )
    return with_end_types(
        with_biases_in_range(quantized, data),
        input_dtype=options.input_dtype,
        output_dtype=options.output_dtype,
    )


def _not_empty(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """0 to 1 for a tensor that is zero throughout, as behind a ReLU that never opens. From an empty
    range the engine makes a scale of 4e-12, and a file that XNNPACK refuses to load."""
    empty = Range(0.0, 0.0)
    return {name: Range(0.0, 1.0) if found == empty else found for name, found in ranges.items()}


def _configure(
    engine: Quantizer, options: QuantizeSpec, kept: Collection[str], raised: Mapping[str, str]
) -> None:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    _static(engine, ".*", 8, options)
    if kept:
        engine.update_quantization_recipe(
            regex=_called(kept),
            operation_name=TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    if not raised:
        return
    if wide := [layer for layer, to in raised.items() if to == INT16]:
        _static(engine, _called(wide), 16, options)
    # An end of the graph is called like the operator that writes it, and keeps its type.
    engine.add_static_config(
        _called(raised), TFLOperationName.OUTPUT, activation_num_bits=8, weight_num_bits=8
    )


def _static(engine: Quantizer, regex: str, bits: int, options: QuantizeSpec) -> None:
    from ai_edge_quantizer.qtyping import TFLOperationName

    # LiteRT's BATCH_MATMUL takes the first scale of a constant for all of it.
    for operators, per_channel in (("ALL_SUPPORTED", options.per_channel), ("BATCH_MATMUL", False)):
        engine.add_static_config(
            regex,
            TFLOperationName[operators],
            activation_num_bits=bits,
            weight_num_bits=8,
            weight_granularity=weight_granularity(per_channel=per_channel),
        )


def _called(layers: Collection[str]) -> str:
    """To the engine an operator is called by its outputs, each with a semicolon behind it."""
    return f"^(?:{'|'.join(re.escape(layer) for layer in layers)});"
