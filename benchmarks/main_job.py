"""Print every figure the main job must reach, beside the same libraries called directly.

``python -m benchmarks.main_job --recipe all --json results.json``
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import direct
from benchmarks.calibration import calibration_cost
from benchmarks.context import circumstances, conclude, headline, new_console, say
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
    command = f"python -m benchmarks.main_job --recipe {recipe} --rounds {rounds}"
    context = circumstances(command, host, LIBRARIES)
    console = new_console()
    console.print(headline(context), markup=False)
    figures: list[Figure] = []
    for name in AGREEMENT if recipe == "all" else [recipe]:
        measured = _measure(name, rounds, host)
        console.print(render(measured))
        figures += measured
    figures.append(help_time())
    console.print(render(figures[-1:]))
    conclude(console, context, figures, json_file)


def _measure(recipe: str, rounds: int, host: Host) -> list[Figure]:
    """All figures of one recipe."""
    say(f"{recipe}: fetching what it needs")
    job = describe_job(recipe)
    with TemporaryDirectory() as name:
        done = run_rounds(job, Path(name), rounds, say)
        say(f"{recipe}: the engine with its own calibrator")
        figures = fidelity(job, read_report(done.run_folder), done.direct_folder)
        float_file = done.run_folder / "model.float.tflite"
        samples = direct.read_samples(job, "calibration")
        say(f"{recipe}: latency and calibration")
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


if __name__ == "__main__":
    main()
