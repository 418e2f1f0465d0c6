"""One model over bridges that the user names: every hop verified, the end written to a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edgekit.bridges import BRIDGES
from edgekit.bridges.cross import VERIFY_SAMPLES, cross
from edgekit.bridges.route import Way
from edgekit.bridges.verify import Hop
from edgekit.cache import Cache
from edgekit.data.open import open_dataset
from edgekit.errors import ConversionError, OutputError, UsageError
from edgekit.progress import Progress
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.schema import InputSpec, ModelSpec, OnnxSpec, Recipe
from edgekit.runs.run import usable_cores
from edgekit.sources import locate
from edgekit.sources.source import SourceModel
from edgekit.types import Array, ModelKind, Role, Sample

SEED = 0
SUFFIXES = {
    ModelKind.ONNX: ".onnx",
    ModelKind.FLOAT_TFLITE: ".tflite",
    ModelKind.EXPORTED_PROGRAM: ".pt2",
}


@dataclass(frozen=True)
class Converted:
    """``file`` holds the model at the end of ``hops``; ``samples`` says what verified it."""

    file: Path
    kind: ModelKind
    size_bytes: int
    hops: tuple[Hop, ...]
    samples: str


@dataclass(frozen=True)
class _Job:
    source: SourceModel
    samples: Iterable[Sample]
    told: str
    onnx: OnnxSpec


def parse_way(text: str) -> Way:
    """``"torch_onnx,onnx-tf"`` -> names of bridges, in order.

    Raises:
        UsageError: a name that is no bridge, or bridges that do not follow each other.
    """
    way = tuple(part.strip().lower().replace("-", "_") for part in text.split(","))
    for name in way:
        if name not in BRIDGES:
            raise UsageError(f"no bridge {name!r}", hint=did_you_mean(name, BRIDGES))
    for before, after in pairwise(way):
        if BRIDGES[before].produces not in BRIDGES[after].accepts:
            raise UsageError(
                f"{before} makes {BRIDGES[before].produces.value}, which {after} does not take",
                hint=f"{after} takes {_kinds(after)}.",
            )
    return way


def check_out(out: Path, way: Way, *, force: bool) -> None:
    """Refuse a file that is there, or that is named like another format.

    Raises:
        OutputError: it cannot take the model.
    """
    suffix = SUFFIXES[BRIDGES[way[-1]].produces]
    if out.suffix != suffix:
        raise OutputError(
            f"{way[-1]} makes a {suffix} file, and {out} is not named like one",
            hint=f"--out {out.with_suffix(suffix)}",
        )
    if out.is_dir():
        raise OutputError(f"{out} is a folder", hint="Give a file with --out.")
    if out.exists() and not force:
        raise OutputError(f"{out} is there already", hint="Give another --out FILE, or --force.")
    if not out.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", hint="Make it first.")


def convert_recipe(
    recipe: Recipe, way: Way, out: Path, *, cache: Cache, progress: Progress
) -> Converted:
    """The recipe's model over ``way``, verified on its calibration samples, written to ``out``.

    Raises:
        UsageError: the first bridge does not take such a model.
        EdgekitError: as ``cross`` and the opening of source and data; ``out`` is untouched then.
    """
    source = locate(recipe.model, progress=progress, cache=cache)
    calibration = open_dataset(
        recipe.calibration.dataset,
        role=Role.CALIBRATION,
        samples=recipe.calibration.samples,
        preprocess=recipe.preprocess,
        inputs=recipe.model.inputs,
        on_broken=recipe.calibration.on_broken,
        progress=progress,
    )
    job = _Job(source, calibration, f"calibration samples of {recipe.name}", recipe.onnx)
    return _convert(job, way, out, cache, progress)


def convert_file(
    model: Path,
    way: Way,
    out: Path,
    *,
    input_shape: tuple[int, ...] | None,
    layout: str | None,
    cache: Cache,
    progress: Progress,
) -> Converted:
    """The ``.onnx`` file ``model`` over ``way``, verified on random numbers, written to ``out``.

    ``input_shape`` and ``layout`` are as ``describe_onnx`` takes them.

    Raises:
        SourceError: it is no ONNX model, or leaves open what was not given.
        UsageError: the first bridge takes no ONNX.
        EdgekitError: as ``cross``; ``out`` is untouched then.
    """
    from edgekit.sources.described_onnx import describe_onnx

    described = describe_onnx(model, input_shape, layout)
    for guess in described.guesses:
        progress.note(guess)
    progress.note(
        "verified on random numbers, a weaker check than real samples: give --recipe for those"
    )
    spec = ModelSpec(
        framework="onnx",
        inputs=described.inputs,
        outputs=described.outputs,
        file=f"file:{model.absolute()}",
    )
    source = locate(spec, progress=progress, cache=cache)
    samples = random_samples(described.inputs, VERIFY_SAMPLES)
    return _convert(
        _Job(source, samples, "samples of random numbers", OnnxSpec()), way, out, cache, progress
    )


def random_samples(inputs: Sequence[InputSpec], count: int) -> tuple[Sample, ...]:
    """Seeded numbers for every input, channels-last as sessions take them: floats normal, integers
    0 and 1, for what they index is not known. Of a model with a fixed batch above one, a sample is
    one row of every input.

    Raises:
        UsageError: only some of the inputs have that batch.
    """
    batch = inputs[0].shape[0] if inputs and inputs[0].shape else 1
    if batch != 1 and any(spec.shape[:1] != (batch,) for spec in inputs):
        shown = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
        raise UsageError(
            f"the first axis of {inputs[0].name} would be its batch of {batch}, which other inputs "
            f"do not have: {shown}",
            hint="Export the model with a batch of one as the first axis of every input.",
        )
    generator = np.random.default_rng(SEED)
    made = []
    for number in range(count):
        feeds = {}
        for spec in inputs:
            values: Array
            shape = spec.shape if batch == 1 else (1, *spec.shape[1:])
            if spec.dtype == "float32":
                values = generator.standard_normal(shape, dtype=np.float32)
            elif spec.dtype == "uint8":
                values = generator.integers(0, 256, shape, dtype=np.uint8)
            else:
                values = generator.integers(0, 2, shape).astype(spec.dtype)
            feeds[spec.name] = values.transpose(0, 2, 3, 1) if spec.layout == "NCHW" else values
        made.append(Sample(id=f"random[{number}]", image_id=f"random[{number}]", feeds=feeds))
    return tuple(made)


def _convert(job: _Job, way: Way, out: Path, cache: Cache, progress: Progress) -> Converted:
    if job.source.kind not in BRIDGES[way[0]].accepts:
        able = [name for name, entry in BRIDGES.items() if job.source.kind in entry.accepts]
        raise UsageError(
            f"{way[0]} takes {_kinds(way[0])}; this model is {job.source.kind.value}",
            hint=f"For such a model there are: {', '.join(able)}." if able else None,
        )
    model, hops = job.source, []
    for name in way:
        crossing = cross(
            name,
            model,
            job.samples,
            threads=usable_cores(),
            cache=cache,
            progress=progress,
            onnx=job.onnx,
        )
        if crossing.cached:
            progress.note(f"{name}: taken from the cache")
        model = crossing.model
        hops.append(crossing.hop)
    if len(model.files) != 1:
        extra = ", ".join(path.name for path in model.files.values())
        raise ConversionError(f"{way[-1]} made several files ({extra}), and --out is one")
    (made,) = model.files.values()
    write_copy(made, out)
    return Converted(out, model.kind, out.stat().st_size, tuple(hops), job.told)


def write_copy(file: Path, out: Path) -> None:
    """Copy ``file`` to ``out``, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.copyfile(file, partial)
        os.replace(partial, out)
    except OSError as error:
        raise OutputError(
            f"cannot write {out}: {error.strerror}", hint="Give another file with --out."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _kinds(bridge: str) -> str:
    return ", ".join(kind.value for kind in BRIDGES[bridge].accepts)
