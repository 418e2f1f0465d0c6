"""MobileNetV2 over every way to a .tflite, and what the recipe with ``bridge: auto`` chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import direct
from benchmarks.context import say
from benchmarks.figure import Figure, Target
from benchmarks.ratio import Ratio, ratio_of_medians
from benchmarks.torch_run import run_edgekit
from edgekit.artefact import inspect_artefact, open_artefact
from edgekit.bridges.route import Way, way_text
from edgekit.bridges.verify import Hop
from edgekit.cache import Cache
from edgekit.data.roles import open_run_data
from edgekit.methods import load_method
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.progress import SilentProgress
from edgekit.reach import Crossings
from edgekit.recipe import load_recipe
from edgekit.runs.run import Run
from edgekit.runtimes.predict import predict
from edgekit.sources import locate
from edgekit.types import ArtefactFacts

RECIPE = "mobilenet_onnx_int8"
DIRECT: Way = ("litert_torch",)
WAYS: tuple[Way, ...] = (
    DIRECT,
    ("torch_onnx", "onnx2tf"),
    ("torch_onnx", "onnx_tf"),
    # None that a run would try: it comes back to the framework it left.
    ("torch_onnx", "onnx_torch", "litert_torch"),
)
LATENCY, AGREEMENT_POINTS = 1.05, 1.0
LATENCY_ROUNDS, RUNS_PER_ROUND = 45, 10


@dataclass(frozen=True)
class Route:
    """One way and the INT8 file at its end; ``facts`` and ``compared`` are the INT8 file's."""

    way: Way
    hops: tuple[Hop, ...]
    file: Path
    facts: ArtefactFacts
    compared: Fidelity

    @property
    def agreement(self) -> float:
        assert self.compared.agreement is not None
        return self.compared.agreement


def routes(folder: Path) -> tuple[list[Table], list[Figure]]:
    """Every way on the same samples, the INT8 files timed in turns, and the recipe's own choice."""
    made = make_routes(folder)
    ratios, float_ratios = (_over_direct(folder, made, kind) for kind in ("int8", "float"))
    say(RECIPE)
    report = run_edgekit(RECIPE, folder / "edgekit")
    return [route_table(made, ratios, float_ratios), _choice_table(report)], route_figures(
        made, ratios, report
    )


def make_routes(folder: Path) -> dict[str, Route]:
    """Every way converted anew, isolated environments apart, and quantized as the recipe says."""
    progress = SilentProgress()
    recipe = load_recipe(RECIPE)
    run = Run(recipe, Cache(folder / "cache"), progress)
    source = locate(recipe.model, progress=progress)
    data = open_run_data(recipe, progress)
    with source.open_session(run.threads) as session:
        reference = predict(session, data.fidelity)
    crossings = Crossings(run, source, data.calibration)
    found = {}
    for way in WAYS:
        say(f"MobileNetV2: {way_text(way)}")
        reached = crossings.over(way)
        own = folder / _slug(way)
        own.mkdir()
        (float_file,) = reached.model.files.values()
        (own / "float.tflite").write_bytes(float_file.read_bytes())
        job = QuantizeJob(
            model=reached.model,
            goal=Goal(reached.model.outputs[0], classification=True),
            options=recipe.quantize,
            calibration=data.calibration,
            open_dev=data.open_dev,
            open_training=data.open_training,
            folder=own,
            cache=run.cache,
            progress=progress,
            threads=run.threads,
        )
        artefact = load_method(recipe.quantize.method).quantize(job).artefact
        (own / "int8.tflite").write_bytes(artefact.path.read_bytes())
        artefact = replace(artefact, path=own / "int8.tflite")
        with open_artefact(artefact, threads=run.threads) as session:
            answers = predict(session, data.fidelity)
        found[way_text(way)] = Route(
            way,
            reached.hops,
            artefact.path,
            inspect_artefact(artefact, islice(data.fidelity, 1)),
            fidelity(reference, answers, primary=source.outputs[0], classification=True),
        )
    return found


def route_table(
    made: Mapping[str, Route], ratios: Mapping[str, Ratio], float_ratios: Mapping[str, Ratio]
) -> Table:
    """The ways side by side; operators and transposes of the float file and of the INT8 one,
    seconds hop by hop, checks apart."""
    table = Table(
        *("way", "hops, dB", "ops", "transposes", "agreement", "SQNR dB", "latency, INT8"),
        *("latency, float", "bytes", "converted in, s"),
    )
    for name, route in made.items():
        table.add_row(
            name,
            ", ".join(f"{hop.sqnr_db:.0f}" for hop in route.hops),
            f"{route.hops[-1].ops} / {route.facts.ops}",
            f"{route.hops[-1].transposes} / {route.facts.transposes}",
            f"{route.agreement:.4f}",
            f"{route.compared.sqnr_db:.2f}",
            _text(ratios[name]),
            _text(float_ratios[name]),
            f"{route.file.stat().st_size:,}",
            " + ".join(f"{hop.seconds:.1f}" for hop in route.hops),
        )
    return table


def route_figures(
    made: Mapping[str, Route], ratios: Mapping[str, Ratio], report: Mapping[str, Any]
) -> list[Figure]:
    """What the chosen way must reach beside the direct one; the other ways beside it."""
    chosen = report["choices"][0]["chosen"]
    plain, best = made[way_text(DIRECT)], made[chosen]
    others = {name: route for name, route in made.items() if name != chosen}
    assert plain.facts.transposes is not None
    assert best.facts.transposes is not None
    lost = {name: 100 * (plain.agreement - route.agreement) for name, route in made.items()}
    return [
        Figure(
            name="transposes of the chosen way",
            value=best.facts.transposes,
            target=Target("<=", plain.facts.transposes),
            beside=tuple((name, route.facts.transposes or 0) for name, route in others.items()),
            notes=(f"chosen: {chosen}",),
        ),
        Figure(
            name="latency over the direct way's",
            value=ratios[chosen].value,
            unit="x",
            target=Target("<=", LATENCY),
            ci=(ratios[chosen].low, ratios[chosen].high),
            ci_kind=f"95 % bootstrap of {LATENCY_ROUNDS} rounds",
            beside=tuple((name, ratios[name].value) for name in others),
            notes=(f"{LATENCY_ROUNDS} rounds of {RUNS_PER_ROUND} runs, 1 thread, in turns",),
        ),
        Figure(
            name="agreement lost against the direct way",
            value=lost[chosen],
            unit="points",
            target=Target("<=", AGREEMENT_POINTS),
            beside=tuple((name, lost[name]) for name in others),
            notes=(
                f"{best.agreement:.4f} against {plain.agreement:.4f} on {plain.compared.n} crops",
                f"{RECIPE}, as a command: {report['fidelity']['agreement']:.4f}, "
                f"{report['fidelity']['sqnr_db']:.2f} dB, {report['size']['bytes']:,} bytes",
            ),
        ),
    ]


def _over_direct(folder: Path, made: Mapping[str, Route], kind: str) -> dict[str, Ratio]:
    """Times over those of the direct way, all files of a kind in one loop."""
    say(f"MobileNetV2: latency, {kind}")
    files = [folder / _slug(route.way) / f"{kind}.tflite" for route in made.values()]
    sample = np.random.default_rng(0).standard_normal((224, 224, 3), dtype=np.float32)
    times = direct.time_in_turns(files, sample, 1, LATENCY_ROUNDS, RUNS_PER_ROUND)
    medians = {
        name: np.median(each, axis=1).tolist() for name, each in zip(made, times, strict=True)
    }
    plain = medians[way_text(DIRECT)]
    return {name: ratio_of_medians(each, plain) for name, each in medians.items()}


def _choice_table(report: Mapping[str, Any]) -> Table:
    (choice,) = report["choices"]
    table = Table(
        *("candidate", "agreement", "SQNR dB", "bytes", "transposes", "why not"),
        title=f"{RECIPE}, on dev: {choice['chosen']}, by {choice['by']}",
    )
    for candidate in choice["candidates"]:
        if "error" in candidate:
            table.add_row(candidate["name"], "", "", "", "", candidate["error"])
            continue
        table.add_row(
            candidate["name"],
            f"{candidate['agreement']:.3f}",
            f"{candidate['sqnr_db']:.1f}",
            f"{candidate['size_bytes']:,}",
            str(candidate["transposes"]),
            candidate["lost"] or "",
        )
    return table


def _slug(way: Way) -> str:
    return "-".join(way)


def _text(ratio: Ratio) -> str:
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
