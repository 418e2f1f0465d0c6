"""A bridge's call beside the same library called in its own environment, and what that costs to
make. Every side is a process from its start to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import onnx_direct
from benchmarks.context import say
from benchmarks.figure import Figure, Target
from benchmarks.process import run
from benchmarks.ratio import round_ratios
from edgekit.bridges import BRIDGES
from edgekit.cache import CACHE_DIR_VARIABLE, Cache
from edgekit.conversion import convert_recipe
from edgekit.environments import ENVIRONMENTS
from edgekit.environments.place import ready_place, shelf_in
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe

RECIPE, OPSET = "mobilenet_int8", 13
"""An operator set that onnx-tf reads: no side has to lower it."""
TOOLS = {"onnx2tf": "onnx2tf", "onnx_tf": "onnx-tf"}
"""Bridge -> its environment, which has the tool's own name."""
ROUNDS = 5
CONVERTING, CHECKED, SAME, DOCUMENTED = (
    "the bridge alone",
    "edgekit bridge run, check included",
    "the same calls, same options",
    "as documented",
)
RATIO, SETUP_S = 1.3, 180.0


@dataclass(frozen=True)
class Side:
    """A program that writes ``out``; ``env`` is added to its environment."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    out: Path


def warm(folder: Path) -> list[Figure]:
    """Both tools on MobileNetV2, their environments there and read once before."""
    model = folder / "mobilenet.onnx"
    recipe = load_recipe(RECIPE, [f"onnx.opset={OPSET}"])
    convert_recipe(recipe, ("torch_onnx",), model, cache=Cache(), progress=SilentProgress())
    figures = []
    for bridge in TOOLS:
        figures += call_figures(bridge, *_timed(_sides(bridge, model, folder), bridge))
    return figures


def call_figures(
    bridge: str, seconds: Mapping[str, list[float]], sizes: Mapping[str, int]
) -> list[Figure]:
    """edgekit's side without and with its check, of the seconds of each side by round; the
    documented calls, which had fewer rounds, stand beside by their median."""
    medians = {name: median(each) for name, each in seconds.items()}
    figures = []
    for name in (CONVERTING, CHECKED):
        ratio = round_ratios(seconds[name], seconds[SAME])
        figures.append(
            Figure(
                name=f"{bridge}, warm: {name} / {SAME}",
                value=ratio.median,
                unit="x",
                target=Target("<=", RATIO),
                ci=(ratio.low, ratio.high),
                ci_kind=f"least and most of {len(seconds[SAME])} rounds",
                beside=((f"/ {DOCUMENTED}", medians[name] / medians[DOCUMENTED]),),
            )
        )
    notes = (
        "medians of whole processes: "
        + ", ".join(f"{name} {each:.1f} s" for name, each in medians.items()),
        "bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()),
    )
    return [*figures[:-1], replace(figures[-1], notes=notes)]


def setup(folder: Path) -> list[Figure]:
    """Each environment made in a cache folder of its own; pip's cache is what it is."""
    figures = []
    for name in sorted(ENVIRONMENTS):
        say(f"edgekit bridge setup {name}")
        with TemporaryDirectory(dir=folder) as cache:
            command = [sys.executable, "-m", "edgekit", "bridge", "setup", "-q", name]
            ran = run(command, env={CACHE_DIR_VARIABLE: cache})
        figures.append(
            Figure(
                name=f"edgekit bridge setup {name}",
                value=ran.seconds,
                unit="s",
                target=Target("<=", SETUP_S) if name == "onnx-tf" else None,
                notes=(f"{ENVIRONMENTS[name].size_bytes / 1e9:.1f} GB on disk",),
            )
        )
    return figures


def _sides(bridge: str, model: Path, folder: Path) -> dict[str, Side]:
    environment = BRIDGES[bridge].environment
    assert environment is not None
    place = ready_place(ENVIRONMENTS[environment], shelf_in(None))
    if place is None:
        raise SystemExit(f"{environment} is not set up: edgekit bridge setup {environment}")
    python = place.python
    # Tools call programs of their own environment by name.
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    env = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PATH": path}

    def ours(name: str, command: Callable[[str], tuple[str, ...]]) -> Side:
        out = folder / f"{bridge}.{name}.tflite"
        return Side((sys.executable, "-m", *command(str(out))), {}, out)

    def theirs(how: str) -> Side:
        out = folder / f"{bridge}.{how}.tflite"
        command = (str(python), "-E", "-s", onnx_direct.__file__, TOOLS[bridge], how)
        return Side((*command, str(model), str(out)), env, out)

    return {
        CONVERTING: ours("alone", lambda out: ("benchmarks.onnx_convert", bridge, str(model), out)),
        CHECKED: ours(
            "checked",
            lambda out: (
                *("edgekit", "bridge", "run", bridge, str(model)),
                *("--no-cache", "--force", "-q", "--out", out),
            ),
        ),
        SAME: theirs("same"),
        DOCUMENTED: theirs("documented"),
    }


def _timed(sides: Mapping[str, Side], bridge: str) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each side by round, in turns after a round that warms up, the documented calls
    (of a minute and more) in the first two alone; and the bytes made."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        told = []
        for name in order:
            if name == DOCUMENTED and number > 1:
                continue
            side = sides[name]
            ran = run(side.command, env=side.env)
            told.append(f"{name} {ran.seconds:.1f} s")
            if number:
                seconds[name].append(ran.seconds)
        turn = f"round {number} of {ROUNDS}" if number else "warming up"
        say(f"{bridge}, {turn}: {', '.join(told)}")
    return seconds, {name: side.out.stat().st_size for name, side in sides.items()}
