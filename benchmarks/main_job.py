"""Print every figure the main job must reach, beside the same libraries called directly.

``python -m benchmarks.main_job --recipe all --json results.json``
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console

from benchmarks import direct
from benchmarks.calibration import calibration_cost
from benchmarks.fidelity import AGREEMENT, fidelity
from benchmarks.figure import Figure, render
from benchmarks.help_time import help_time
from benchmarks.job import describe_job
from benchmarks.latency import latency
from benchmarks.whole_command import read_report, run_rounds, whole_command
from edgekit.measure.host import Host, this_host

LIBRARIES = ("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer", "numpy", "pillow")


@click.command()
@click.option(
    "--recipe",
    type=click.Choice([*AGREEMENT, "all"]),
    default="all",
    show_default=True,
    help="Which main job to run.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Rounds of whole commands; each takes about two minutes.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here."
)
def main(recipe: str, rounds: int, json_file: Path | None) -> None:
    """Measure the main job beside direct library calls; the exit code is 0 whatever is missed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as edgekit sets it, before torch comes
    host = this_host()
    context: dict[str, Any] = {
        "command": f"python -m benchmarks.main_job --recipe {recipe} --rounds {rounds}",
        "utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": host.cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "int8_dot_product": host.int8_dot_product,
        "load_average_before": os.getloadavg(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(_headline(context), markup=False)
    figures: list[Figure] = []
    for name in AGREEMENT if recipe == "all" else [recipe]:
        measured = _measure(name, rounds, host)
        console.print(render(measured))
        figures += measured
    figures.append(help_time())
    console.print(render(figures[-1:]))
    context["load_average_after"] = os.getloadavg()
    console.print(f"load average {_loads(context['load_average_after'])} after")
    if json_file is not None:
        _write(json_file, {**context, "figures": [figure.to_dict() for figure in figures]})


def _measure(recipe: str, rounds: int, host: Host) -> list[Figure]:
    """All figures of one recipe."""
    _say(f"{recipe}: fetching what it needs")
    job = describe_job(recipe)
    with TemporaryDirectory() as name:
        done = run_rounds(job, Path(name), rounds, _say)
        _say(f"{recipe}: the engine with its own calibrator")
        figures = fidelity(job, read_report(done.run_folder), done.direct_folder)
        float_file = done.run_folder / "model.float.tflite"
        samples = direct.read_samples(job, "calibration")
        _say(f"{recipe}: latency and calibration")
        figures.append(
            latency(
                float_file,
                done.run_folder / "model.tflite",
                samples[0],
                host,
                recipe,
                **job["latency"],
            )
        )
        for threads in sorted({1, min(2, job["threads"])}):
            figures.append(calibration_cost(float_file, samples, threads, recipe))
        return figures + whole_command(done, recipe)


def _headline(context: dict[str, Any]) -> str:
    has = {True: "has", False: "has no", None: "may have an"}[context["int8_dot_product"]]
    return (
        f"{context['command']}\n"
        f"{context['utc']}, {context['cpus']} x {context['cpu']}, which {has} INT8 dot product; "
        f"load average {_loads(context['load_average_before'])} before\n"
        + ", ".join(f"{name} {number}" for name, number in context["libraries"].items())
    )


def _loads(loads: tuple[float, float, float]) -> str:
    return " ".join(f"{load:.2f}" for load in loads)


def _write(file: Path, content: dict[str, Any]) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
