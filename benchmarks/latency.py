"""Float against INT8 on this host: edgekit's measurement beside a plain Interpreter loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import direct
from benchmarks.figure import Figure, Target
from benchmarks.ratio import ratio_of_medians
from edgekit.measure.host import Host
from edgekit.measure.latency import measure_pair
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import stored_feeds
from edgekit.types import Sample

NO_DOT_PRODUCT = (
    "{cpu} has no INT8 dot-product instructions: without them INT8 gains little or nothing over "
    "float under XNNPACK, whoever calls it; a phone's cores have them"
)


def latency(
    float_file: Path,
    int8_file: Path,
    sample: np.ndarray,
    host: Host,
    recipe: str,
    *,
    threads: int,
    rounds: int,
    runs_per_round: int,
) -> Figure:
    """Speed-up of INT8 over float; both models take turns in either measurement."""
    with (
        open_session(float_file, threads=threads) as before,
        open_session(int8_file, threads=threads) as after,
    ):
        fed = Sample("0", "0", {before.info.inputs[0].name: sample[None]})
        ours = measure_pair(
            before,
            after,
            stored_feeds(before, fed),
            stored_feeds(after, fed),
            rounds=rounds,
            runs_per_round=runs_per_round,
        )
    float_ms, int8_ms = direct.time_in_turns(
        [float_file, int8_file], sample, threads, rounds, runs_per_round
    )
    plain = ratio_of_medians(
        np.median(float_ms, axis=1).tolist(), np.median(int8_ms, axis=1).tolist()
    )
    notes = [
        f"edgekit {ours.float_ms:.2f} and {ours.quantized_ms:.2f} ms; plain loop "
        f"{np.median(float_ms):.2f} and {np.median(int8_ms):.2f} ms, its ratio's interval "
        f"[{plain.low:.2f}, {plain.high:.2f}]; {rounds} rounds of {runs_per_round}, "
        f"{threads} thread(s)"
    ]
    if host.int8_dot_product is False:
        notes.append(NO_DOT_PRODUCT.format(cpu=host.cpu))
    return Figure(
        name=f"speed-up of INT8, {recipe}",
        value=ours.speedup,
        unit="x",
        target=Target(">", 1.0),
        ci=(ours.ci_low, ours.ci_high),
        ci_kind=f"95 % bootstrap of {rounds} rounds",
        beside=(("a plain Interpreter loop", plain.value),),
        notes=tuple(notes),
    )
