"""Print every figure of PyTorch's own methods, beside torch and torchao called directly.

``python -m benchmarks.torch_methods --part all --json results.json``
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click

from benchmarks.context import circumstances, conclude, headline, new_console, say
from benchmarks.figure import Figure, Target, render
from edgekit.measure.host import this_host

LIBRARIES = ("torch", "torchao", "litert-torch", "tokenizers", "numpy", "pillow")
SLOW_WAY_SAMPLES = 200
"""For torchao's dynamic INT8, a plain loop on a CPU without an INT8 dot product."""


def mobilenet(folder: Path) -> list[Figure]:
    """Static INT8 of MobileNetV2 by PT2E, by FX, and by PT2E to a .tflite."""
    from benchmarks.torch_calibration import calibration_cost
    from benchmarks.torch_job import describe_torch_job
    from benchmarks.torch_run import run_direct, run_edgekit
    from benchmarks.torch_static import BESIDE, fidelity, other_size, program_size

    ways = {way: None for beside in BESIDE.values() for way in beside}
    job = describe_torch_job("mobilenet_pt2e", ways, folder, labelled=False)
    say(f"MobileNetV2: directly {', '.join(ways)}")
    direct = run_direct(job, folder / "direct")
    figures = []
    for recipe in BESIDE:
        say(recipe)
        report = run_edgekit(recipe, folder / recipe)
        size = program_size if report["artefact"]["format"] == "pt2" else other_size
        figures += [*fidelity(recipe, report, direct), size(recipe, report, direct)]
    say("PT2E: calibration")
    return [*figures, calibration_cost(job)]


def minilm(folder: Path) -> list[Figure]:
    """Dynamic INT8 of the MiniLM sentence encoder with its head."""
    ways = {"dynamic_linear": None, "torchao": SLOW_WAY_SAMPLES}
    return _dynamic("minilm_dynamic", ways, folder, size_limit=0.35, faster=Target(">", 1.0))


def lstm(folder: Path) -> list[Figure]:
    """Dynamic INT8 of an LSTM."""
    return _dynamic("fashion_lstm_dynamic", {"dynamic_lstm": None}, folder)


def qat(folder: Path) -> list[Figure]:
    """Fine-tuning beside quantizing without it."""
    from benchmarks.torch_job import describe_torch_job
    from benchmarks.torch_run import run_direct, run_edgekit
    from benchmarks.torch_tuned import WAYS, tuned

    job = describe_torch_job("fashion_qat", dict.fromkeys(WAYS), folder, labelled=True)
    say("fashion_qat")
    report = run_edgekit("fashion_qat", folder / "edgekit")
    say("fashion_qat: directly")
    return [tuned(job, report, run_direct(job, folder / "direct"))]


def _dynamic(
    recipe: str,
    ways: dict[str, int | None],
    folder: Path,
    *,
    size_limit: float | None = None,
    faster: Target | None = None,
) -> list[Figure]:
    from benchmarks.torch_dynamic import accuracy, size, speed
    from benchmarks.torch_job import describe_torch_job
    from benchmarks.torch_run import run_direct, run_edgekit

    job = describe_torch_job(recipe, ways, folder, labelled=True)
    say(recipe)
    report = run_edgekit(recipe, folder / "edgekit")
    say(f"{recipe}: directly {', '.join(ways)}")
    direct = run_direct(job, folder / "direct")
    say(f"{recipe}: latency")
    return [
        accuracy(job, report, direct, limit=1.0),
        size(job, report, direct, limit=size_limit),
        speed(job, report, folder / "edgekit", list(ways), target=faster),
    ]


PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "mobilenet": mobilenet,
    "minilm": minilm,
    "lstm": lstm,
    "qat": qat,
}


@click.command()
@click.option(
    "--part",
    type=click.Choice([*PARTS, "all"]),
    default="all",
    show_default=True,
    help="Which models to measure.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here."
)
def main(part: str, json_file: Path | None) -> None:
    """Measure PyTorch's methods beside direct calls; the exit code is 0 whatever is missed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as edgekit sets it, before torch comes
    command = f"python -m benchmarks.torch_methods --part {part}"
    context = circumstances(command, this_host(), LIBRARIES)
    console = new_console()
    console.print(headline(context), markup=False)
    figures: list[Figure] = []
    for name in PARTS if part == "all" else [part]:
        start = perf_counter()
        with TemporaryDirectory() as folder:
            measured = PARTS[name](Path(folder))
        console.print(render(measured))
        say(f"{name} took {perf_counter() - start:.0f} s")
        figures += measured
    conclude(console, context, figures, json_file)


if __name__ == "__main__":
    main()
