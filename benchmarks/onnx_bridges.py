"""Print every figure of the ONNX bridges, beside the same libraries called directly.

``python -m benchmarks.onnx_bridges --part all --json results.json``
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click
from rich.table import Table

from benchmarks.context import circumstances, conclude, headline, new_console, say
from benchmarks.figure import Figure, render
from edgekit.measure.host import this_host

LIBRARIES = ("onnx", "onnxruntime", "torch", "tensorflow", "litert-torch", "ai-edge-litert")
Measured = tuple[list[Table], list[Figure]]


def routes(folder: Path) -> Measured:
    """MobileNetV2 by every way to a .tflite."""
    from benchmarks.onnx_routes import routes

    return routes(folder)


def warm(folder: Path) -> Measured:
    """A warm bridge's call beside the tool called in its own environment."""
    from benchmarks.onnx_warm import warm

    return [], warm(folder)


def setup(folder: Path) -> Measured:
    """The isolated environments, from nothing."""
    from benchmarks.onnx_warm import setup

    return [], setup(folder)


def basic_pitch(folder: Path) -> Measured:
    """basic-pitch from ONNX beside basic-pitch from its SavedModel."""
    from benchmarks.onnx_pitch import basic_pitch

    return basic_pitch(folder)


def ort(folder: Path) -> Measured:
    """Static INT8 for ONNX Runtime beside its own quantizer."""
    from benchmarks.onnx_ort import ort

    return ort(folder)


PARTS: dict[str, Callable[[Path], Measured]] = {
    "routes": routes,
    "warm": warm,
    "setup": setup,
    "basic_pitch": basic_pitch,
    "ort": ort,
}


@click.command()
@click.option(
    "--part",
    type=click.Choice([*PARTS, "all"]),
    default="all",
    show_default=True,
    help="What to measure.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here."
)
def main(part: str, json_file: Path | None) -> None:
    """Measure the ONNX bridges beside direct calls; the exit code is 0 whatever is missed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as edgekit sets it, before torch comes
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command = f"python -m benchmarks.onnx_bridges --part {part}"
    context = circumstances(command, this_host(), LIBRARIES)
    console = new_console()
    console.print(headline(context), markup=False)
    figures: list[Figure] = []
    for name in PARTS if part == "all" else [part]:
        start = perf_counter()
        with TemporaryDirectory() as folder:
            tables, measured = PARTS[name](Path(folder))
        for table in tables:
            console.print(table)
        console.print(render(measured))
        say(f"{name} took {perf_counter() - start:.0f} s; load average {os.getloadavg()[0]:.1f}")
        figures += measured
    conclude(console, context, figures, json_file)


if __name__ == "__main__":
    main()
