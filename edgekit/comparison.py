"""Two model files side by side: ``edgekit compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.debug import SAMPLES, open_dev_samples
from edgekit.errors import ConversionError, SessionError, UsageError
from edgekit.inspection import inspect
from edgekit.measure.latency import HostLatency, measure_pair
from edgekit.measure.layers import LayerErrors, layer_errors
from edgekit.measure.measurements import NotMeasured
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec, PreprocessSpec, Recipe
from edgekit.report.comparison import Comparison
from edgekit.report.inspection import Inspection
from edgekit.runs.run import usable_cores
from edgekit.runtimes import open_session, open_timed
from edgekit.runtimes.predict import Predictions, predict, stored_feeds
from edgekit.runtimes.session import Session
from edgekit.tasks import task_named
from edgekit.types import Array, ArtefactFormat, Role, Sample, TensorInfo

RUNTIMES: dict[ArtefactFormat, str] = {
    ArtefactFormat.TFLITE: "litert",
    ArtefactFormat.ONNX: "onnxruntime",
    ArtefactFormat.PT2: "torch_export",
}
ROUNDS, RUNS_PER_ROUND, THREADS = 20, 3, 1
_QUANTIZED = frozenset({"int8", "int16"})


def compare(
    a: Path | str,
    b: Path | str,
    *,
    recipe: Recipe | str | None = None,
    data: Path | str | None = None,
    samples: int = SAMPLES,
    latency: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two model files, of any two formats, of which ``b`` is held against ``a``.

    Both run on the dev samples of ``recipe``, or on ``data``: another dataset for that recipe, or
    without one an .npy or .npz of model inputs, channels last. With neither they run on random
    numbers, and the result says so.

    Raises:
        SourceError: a file that cannot be read.
        UsageError: ``samples`` below one.
        DataError: the data cannot be opened.
        SessionError: a model cannot be loaded.
    """
    if samples < 1:
        raise UsageError(f"samples must be at least 1, not {samples}")
    progress = progress or SilentProgress()
    made = load_recipe(recipe) if isinstance(recipe, str) else recipe
    first, second = inspect(a), inspect(b)
    with ExitStack() as opened:
        sessions = [
            opened.enter_context(
                open_session(each.path, threads=usable_cores(), runtime=RUNTIMES[each.format])
            )
            for each in (first, second)
        ]
        inputs = sessions[0].info.inputs
        if made is None and data is None:
            listed: Sequence[Sample] = random_samples(
                [s.info.inputs for s in sessions], samples, seed
            )
            what = (
                f"{samples} random input{'s' if samples > 1 else ''}, seed {seed}: no real data, "
                "so no measure of accuracy"
            )
        else:
            dataset = _open(made, data, inputs, samples, progress)
            listed = list(islice(dataset, samples))
            what = f"{len(listed)} {dataset.role.value} samples of {dataset.name}"
        compared = _outputs(sessions, listed, made, progress)
    return Comparison(
        a=first,
        b=second,
        samples=what,
        real=made is not None or data is not None,
        fidelity=compared,
        latency=_latency(first, second, listed[0], progress)
        if latency
        else NotMeasured("not asked for"),
        layers=_layers(first, second, listed, progress),
    )


def random_samples(
    inputs: Sequence[Sequence[TensorInfo]], count: int, seed: int
) -> tuple[Sample, ...]:
    """Seeded numbers for the first model's inputs: evenly over what an integer input of either
    model can hold, else normal; 0 or 1 where the values are indices."""
    random = np.random.default_rng(seed)
    return tuple(
        Sample(
            id=f"random {number}",
            image_id=f"random {number}",
            feeds={
                info.name: _random(
                    random, info, _range([side[at] for side in inputs if at < len(side)])
                )
                for at, info in enumerate(inputs[0])
            },
        )
        for number in range(count)
    )


def _range(infos: Sequence[TensorInfo]) -> tuple[float, float] | None:
    for info in infos:
        if info.quant is not None:
            ends = np.iinfo(info.dtype)
            low, high = (
                info.quant.scale * (end - info.quant.zero_point) for end in (ends.min, ends.max)
            )
            return low, high
    return None


def _random(
    random: np.random.Generator, info: TensorInfo, span: tuple[float, float] | None
) -> Array:
    shape = (1, *info.shape[1:]) if info.shape else ()
    if info.quant is None and np.dtype(info.dtype).kind in "iub":
        top = 256 if info.dtype == "uint8" else 2
        return random.integers(0, top, shape).astype(info.dtype)
    if span is None:
        return random.standard_normal(shape).astype(np.float32)
    return random.uniform(*span, shape).astype(np.float32)


def _open(
    recipe: Recipe | None,
    data: Path | str | None,
    inputs: Sequence[TensorInfo],
    samples: int,
    progress: Progress,
) -> Dataset:
    if recipe is not None:
        if data is not None:
            recipe = replace(recipe, evaluate=replace(recipe.evaluate, dataset=str(data)))
        return open_dev_samples(recipe, samples, progress)
    if Path(str(data)).suffix not in (".npy", ".npz"):
        raise UsageError(
            f"{data} is no .npy or .npz file: how else it becomes a model's input is not known",
            hint="Add --recipe NAME, whose preprocessing is used.",
        )
    specs = tuple(
        InputSpec(info.name, info.shape, _fed_dtype(info))  # type: ignore[arg-type]
        for info in inputs
    )
    return open_dataset(
        str(data),
        role=Role.DEV,
        preprocess=PreprocessSpec(kind="arrays"),
        inputs=specs,
        samples=samples,
        progress=progress,
    )


def _fed_dtype(info: TensorInfo) -> str:
    return "float32" if info.quant is not None else info.dtype


def _renamed(sample: Sample, infos: Sequence[TensorInfo]) -> Sample:
    """The sample for a model that calls its inputs otherwise: by name, or else by place."""
    names = [info.name for info in infos]
    if set(sample.feeds) == set(names) or len(sample.feeds) != len(names):
        return sample
    return replace(sample, feeds=dict(zip(names, sample.feeds.values(), strict=True)))


def _outputs(
    sessions: Sequence[Session],
    samples: Sequence[Sample],
    recipe: Recipe | None,
    progress: Progress,
) -> Fidelity | NotMeasured:
    answers: list[Predictions] = []
    with progress.task("Running both models", 2 * len(samples)) as task:
        for session in sessions:
            fed = (_renamed(sample, session.info.inputs) for sample in samples)
            try:
                answers.append(predict(session, fed, task=task))
            except (SessionError, UsageError) as error:
                return NotMeasured(error.message)
    before, after = answers
    primary = next(iter(before.outputs))
    after = replace(after, outputs=_like(before.outputs, after.outputs))
    try:
        return fidelity(
            before,
            after,
            primary=primary,
            classification=_is_classes(recipe, before.outputs[primary]),
        )
    except ConversionError as error:
        return NotMeasured(error.message)


def _like(before: Mapping[str, Array], after: Mapping[str, Array]) -> Mapping[str, Array]:
    """Outputs under the names of ``before``: by name, or else by place."""
    if set(before) == set(after) or len(before) != len(after):
        return after
    return dict(zip(before, after.values(), strict=True))


def _is_classes(recipe: Recipe | None, output: Array) -> bool:
    if recipe is not None:
        return task_named(recipe.evaluate.task).classification
    return output.ndim == 2 and output.shape[1] > 1


def _latency(
    first: Inspection, second: Inspection, sample: Sample, progress: Progress
) -> HostLatency | NotMeasured:
    try:
        with ExitStack() as opened:
            before, after = (
                opened.enter_context(
                    open_timed(each.path, threads=THREADS, runtime=RUNTIMES[each.format])
                )
                for each in (first, second)
            )
            with progress.task("Timing both models in turns", ROUNDS) as task:
                return measure_pair(
                    before,
                    after,
                    stored_feeds(before, _renamed(sample, before.info.inputs)),
                    stored_feeds(after, _renamed(sample, after.info.inputs)),
                    rounds=ROUNDS,
                    runs_per_round=RUNS_PER_ROUND,
                    task=task,
                )
    except (SessionError, UsageError) as error:
        return NotMeasured(error.message)


def _layers(
    first: Inspection, second: Inspection, samples: Sequence[Sample], progress: Progress
) -> LayerErrors | NotMeasured:
    """The one that computes in float is the reference, whichever it is."""
    if {first.format, second.format} != {ArtefactFormat.TFLITE}:
        return NotMeasured("layers are compared in .tflite models only")
    quantized = [
        any(op.compute in _QUANTIZED for op in each.file.operators) for each in (first, second)
    ]
    if quantized == [False, True]:
        reference, other = first, second
    elif quantized == [True, False]:
        reference, other = second, first
    else:
        return NotMeasured("layers are compared where one model is float and the other integer")
    names = reference.file.inputs
    fed = [_renamed(sample, names) for sample in samples]
    try:
        return layer_errors(
            reference.path.read_bytes(), other.path.read_bytes(), fed, progress, usable_cores()
        )
    except (ConversionError, SessionError) as error:
        return NotMeasured(error.message)
