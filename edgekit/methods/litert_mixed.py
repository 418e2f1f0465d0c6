"""Mixed precision: the cheapest layers that make the most noise are raised to int16 or float.

A layer is raised with whatever reads it: an activation is only as fine as the coarsest operator at
its ends, which would store it in 8 bits again. Weights stay INT8 beside int16 activations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.cache import content_key
from edgekit.choose import CLEAR_DB, Candidate
from edgekit.methods.litert_build import Built, rebuild, rebuild_raised
from edgekit.methods.litert_units import (
    Unit,
    by_gain,
    costs,
    fewest,
    knee,
    operators,
    spent,
    units,
)
from edgekit.methods.method import QuantizeJob
from edgekit.runtimes import open_timed
from edgekit.runtimes.predict import stored_feeds
from edgekit.runtimes.turns import times_in_turns
from edgekit.tflite.constants import constant_array, with_constants
from edgekit.tflite.flatbuffer import unpack
from edgekit.tflite.graph import Graph, parse_graph

if TYPE_CHECKING:
    from edgekit.optimize.sensitivity import Sensitivity
    from edgekit.types import Array

Measure = Callable[[Built], Candidate]
"""The figures of a build on the dev samples."""
Remedy = Callable[[Built], Built]
"""A build with weights and biases computed anew for how its activations are stored."""

SAMPLES = 8
COST_MAX = 0.25
"""Share of the whole model's cost beyond which raising goes no further: a model of which more is
raised is better made in that precision as a whole."""
ROUNDS = 15
RUNS_PER_ROUND = 3
_FILE = "sensitivity.json"
# Raise when the sensitivities of the same graph, samples and ranges change.
_REVISION = 1


def raised(
    job: QuantizeJob,
    before: Built,
    measure: Measure,
    warn: Callable[[str], None],
    remedies: Sequence[Remedy] = (),
) -> Built | None:
    """``before`` with the fewest layers raised to ``job.options.raise_to`` for the recipe's limits
    to hold on dev; ``None`` where they hold already, or there is nothing to raise.

    Layers are taken by noise for cost, the best first; their number is doubled until the limits
    hold, with the margin of ``Goal.holds``, then bisected. Where they do not hold with as many as
    ``COST_MAX`` allows, none is raised. Without limits it is the knee: where the share of the noise
    that is gone is furthest above the share of the cost that was paid (Satopää et al. 2011,
    doi:10.1109/ICDCSW.2011.20), and none is raised for a gain below ``CLEAR_DB``.

    With fine activations what is left is the noise of the weights, which coarse ones had hidden. So
    where a number of layers does not do, ``remedies`` are tried on it, one after the other: they
    cost nothing where the model runs, and a raised layer does.
    ``warn`` is told where nothing can be raised, or not enough.

    Raises:
        ConversionError: the graph cannot be computed in torch, or the engine refused it.
        SessionError: the raised model cannot be run.
    """
    to = job.options.raise_to
    if to == "none":
        return None
    figures = measure(before)
    if job.goal.holds(figures):
        return None
    graph = parse_graph(before.reference)
    cost = costs(graph, to)
    shares = {each.layer: each.share for each in _sensitivities(job, before)}
    order = by_gain(units(graph, shares, to, before.kept), cost)
    affordable = [
        count for count in range(1, len(order) + 1) if spent(order[:count], cost) <= COST_MAX
    ]
    if not affordable:
        warn(f"no layer can be raised to {to} within a quarter of the model's cost")
        return None
    made: dict[int, Built] = {}

    def ways(count: int) -> Iterator[Built]:
        plain = raise_units(job, before, graph, order[:count])
        yield plain
        for remedy in remedies:
            mended = remedy(plain)
            if to == "float32":
                own = _with_float_weights(mended, graph, operators(order[:count]))
                mended = rebuild(job, mended, own)
            yield mended

    def holds(count: int) -> bool:
        for built in ways(count):
            if job.goal.holds(measure(built)):
                made[count] = built
                return True
        return False

    most = affordable[-1]
    if not job.goal.asks:
        count = knee(
            [unit.share for unit in order[:most]], [spent(order[:n], cost) for n in affordable]
        )
        found = [(measure(built).primary_db, built) for built in ways(count)]
        most_db, made[count] = max(found, key=lambda each: each[0])
        if most_db < figures.primary_db + CLEAR_DB:
            return None  # less than what shows is no reason to give up speed
    else:
        fewest_count = fewest(holds, most)
        if fewest_count is None:
            warn(
                f"no layer is raised: the limits do not hold on dev with a margin with {most} "
                f"layers at {to} either, as many as a quarter of the model's cost allows"
            )
            return None
        count = fewest_count
    return _with_notes(job, before, made[count], order[:count])


def _sensitivities(job: QuantizeJob, before: Built) -> tuple[Sensitivity, ...]:
    """How much noise each layer makes, measured on a few calibration samples; from the cache where
    the same graph, samples and ranges were measured before."""
    from edgekit.optimize.solve import evenly, load, sensitivities

    load(before.reference)  # says what is missing before torch is imported
    from edgekit.optimize.sensitivity import Sensitivity

    weights = job.options.raise_to == "float32"
    key = content_key(
        {
            "graph": sha256(before.reference).hexdigest(),
            "dataset": job.calibration.fingerprint,
            "samples": SAMPLES,
            "ranges": before.ranges,
            "kept": sorted(before.kept),
            "output": job.goal.primary,
            "weights": weights,
            "revision": _REVISION,
        }
    )

    def make(folder: Path) -> None:
        operators = len(parse_graph(before.reference).ops)
        with job.progress.task("Measuring each layer's noise", operators) as bar:
            found = sensitivities(
                before.reference,
                before.quantized,
                [job.calibration.sample(i) for i in evenly(len(job.calibration), SAMPLES)],
                output=job.goal.primary,
                weights=weights,
                advance=bar.advance,
            )
        text = json.dumps([asdict(each) for each in found])
        (folder / _FILE).write_text(text, encoding="utf-8")

    entry = job.cache.get_or_make("sensitivity", key, make)
    held = json.loads((entry.path / _FILE).read_text(encoding="utf-8"))
    return tuple(Sensitivity(**each) for each in held)


def raise_units(job: QuantizeJob, before: Built, graph: Graph, chosen: Sequence[Unit]) -> Built:
    """``before``, whose reference is ``graph``, with ``chosen`` at ``job.options.raise_to``."""
    to = job.options.raise_to
    ops = operators(chosen)
    tensors = {index for unit in chosen for index in unit.tensors}
    data = before.data if to == "int16" else _with_float_weights(before, graph, ops)
    return rebuild_raised(
        job,
        before,
        {graph.layer(graph.ops[index]): to for index in ops},
        [graph.tensors[index].name for index in sorted(tensors)],
        data,
    )


def _with_float_weights(before: Built, graph: Graph, ops: Sequence[int]) -> bytes:
    """The graph with its own weights and biases in ``ops``, not those made for rounding."""
    if before.data == before.reference:
        return before.data
    tensors = unpack(before.reference)
    constants: dict[int, Array] = {}
    for op in (graph.ops[index] for index in ops):
        for index in op.inputs:
            if index >= 0 and graph.tensors[index].constant:
                own = tensors.subgraphs[0].tensors[index]
                constants[index] = constant_array(tensors, own)
    return with_constants(before.data, constants)


def _with_notes(job: QuantizeJob, before: Built, made: Built, chosen: Sequence[Unit]) -> Built:
    """``made`` with what was raised and what that costs, which is said to the user too."""
    to = job.options.raise_to
    more = len(made.quantized) - len(before.quantized)
    ratio = _latency_ratio(job, before.quantized, made.quantized)
    share = sum(unit.share for unit in chosen)
    layers = "1 layer" if len(chosen) == 1 else f"{len(chosen)} layers"
    job.progress.note(
        f"raised {layers} ({len(made.raised)} operators), {share:.0%} of the noise, to {to}: "
        f"{more:+,} bytes, {ratio:.2f} x the latency"
    )
    notes: Mapping[str, Any] = {
        "raised": {
            "to": to,
            "layers": {unit.layer: round(unit.share, 4) for unit in chosen},
            "operators": sorted(made.raised),
            "bytes": more,
            "latency_ratio": round(ratio, 3),
        }
    }
    return replace(made, notes={**before.notes, **notes})


def _latency_ratio(job: QuantizeJob, before: bytes, after: bytes) -> float:
    """Median time of ``after`` for that of ``before``, on one thread, in turns."""
    files = [job.folder / name for name in ("before.tflite", "raised.tflite")]
    sample = next(iter(job.calibration))
    try:
        for file, data in zip(files, (before, after), strict=True):
            file.write_bytes(data)
        with open_timed(files[0]) as one, open_timed(files[1]) as other:
            times, _ = times_in_turns(
                [(session, stored_feeds(session, sample)) for session in (one, other)],
                rounds=ROUNDS,
                runs_per_round=RUNS_PER_ROUND,
            )
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    old, new = np.median(times.reshape(2, -1), axis=1)
    return float(new / old)
