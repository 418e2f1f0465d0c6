"""How fast many labelled samples are evaluated, beside a plain loop over one interpreter.

::

    python -m benchmarks.evaluation_speed --model MODEL.tflite

Both decode JPEGs, resize, crop and normalise them as ``mobilenet_int8`` does, quantize, invoke and
dequantize; edgekit also keeps every answer on disk. They take turns, and their answers must be the
same bits. A round is the whole evaluation, with the start of the worker processes in it. CPU
seconds tell what a machine that is busy with other things hides: cores times the plain loop's over
edgekit's is what the ratio comes to where all cores are free.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from PIL import Image

from benchmarks.ratio import ratio_of_medians
from edgekit.cache import Cache
from edgekit.data import Dataset, open_dataset
from edgekit.measure.evaluation import Broken, Model, evaluate
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.runs.run import usable_cores
from edgekit.runtimes import open_session
from edgekit.runtimes.crew import ModelFile
from edgekit.types import Array, Role

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def write_photos(folder: Path, count: int) -> None:
    """JPEGs of 500 x 375 that compress about as photos do, in two classes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        home = folder / "eval" / f"c{number % 2}"
        home.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(rng.integers(0, 256, (47, 63, 3), np.uint8))
        rough.resize((500, 375), Image.Resampling.BICUBIC).save(home / f"{number:05}.jpg")


def plain_loop(model: Path, files: list[Path]) -> Array:
    """float32 [N, classes]: what one writes first."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    (scale, zero), (given_scale, given_zero) = taken["quantization"], given["quantization"]
    limits = np.iinfo(taken["dtype"])
    answers = []
    for file in files:
        image = Image.open(file).convert("RGB")
        width, height = image.size
        image = image.resize((int(256 * width / height), 256), Image.Resampling.BILINEAR)
        left, top = round((image.width - 224) / 2), round((image.height - 224) / 2)
        image = image.crop((left, top, left + 224, top + 224))
        values = (np.asarray(image, np.float32) / np.float32(255) - MEAN) / STD
        stored = np.round(values / np.float32(scale)) + zero
        stored = np.clip(stored, limits.min, limits.max).astype(taken["dtype"])
        interpreter.set_tensor(taken["index"], stored[None])
        interpreter.invoke()
        answer = interpreter.get_tensor(given["index"])[0].astype(np.float32)
        answers.append((answer - given_zero) * np.float32(given_scale))
    return np.stack(answers)


def by_edgekit(model: Path, dataset: Dataset, workers: int, cache: Path) -> Array:
    """The same, in the dataset's order."""
    found = evaluate(
        Model({}, lambda: open_session(model), ModelFile(model, "litert")),
        dataset,
        workers=workers,
        broken=Broken(),
        cache=Cache(cache),
        progress=SilentProgress(),
        doing="Evaluating",
    )
    (answers,) = found.predictions.outputs.values()
    return answers


def cpu_seconds() -> float:
    """Of this process and the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@click.command()
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--samples", default=2000, show_default=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(2))
def main(model: Path, samples: int, rounds: int) -> None:
    """Print both times and their ratio."""
    recipe = load_recipe("mobilenet_int8")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_photos(folder / "photos", samples)
        with open_session(model) as session:
            (name,) = (info.name for info in session.info.inputs)
        dataset = open_dataset(
            str(folder / "photos"),
            role=Role.EVAL,
            preprocess=recipe.preprocess,
            inputs=(replace(recipe.model.inputs[0], name=name),),
            samples=None,
            crops=False,
            lazy=True,
        )
        files = [folder / "photos" / name for name in dataset.images]
        workers = usable_cores()
        plain, own, plain_cpu, own_cpu = [], [], [], []
        for number in range(rounds):
            start, cpu = perf_counter(), cpu_seconds()
            wanted = plain_loop(model, files)
            middle, middle_cpu = perf_counter(), cpu_seconds()
            found = by_edgekit(model, dataset, workers, folder / f"cache{number}")
            own.append(perf_counter() - middle)
            own_cpu.append(cpu_seconds() - middle_cpu)
            plain.append(middle - start)
            plain_cpu.append(middle_cpu - cpu)
            same = bool((np.asarray(found) == wanted).all())
            click.echo(
                f"round {number + 1}: plain {plain[-1]:.2f} s ({plain_cpu[-1]:.2f} of CPU), "
                f"edgekit {own[-1]:.2f} s ({own_cpu[-1]:.2f} of CPU), "
                f"{plain[-1] / own[-1]:.2f} x, {'same answers' if same else 'OTHER ANSWERS'}"
            )
    ratio = ratio_of_medians(plain, own)
    free = ratio_of_medians(plain_cpu, own_cpu)
    click.echo(
        f"{samples} samples, {workers} workers: plain loop {samples / np.median(plain):.1f} a "
        f"second, edgekit {samples / np.median(own):.1f} a second\n"
        f"{ratio.value:.2f} x [{ratio.low:.2f}, {ratio.high:.2f}]; by CPU seconds at most "
        f"{workers * free.value:.2f} x"
    )


if __name__ == "__main__":
    main()
