"""Where a finished run, or any quantized ``.tflite``, loses accuracy: ``edgekit debug``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.data.dataset import Dataset
from edgekit.data.open import open_dataset
from edgekit.errors import DataError, UsageError
from edgekit.measure.layers import layer_errors
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.report.layers import LayerReport
from edgekit.runs.manifest import recipe_of_run
from edgekit.runs.run import usable_cores
from edgekit.runs.write import FLOAT_FILE
from edgekit.tflite.hard_cases import hard_cases
from edgekit.types import Role

SAMPLES = 16
QUANTIZED_FILE = "model.tflite"


def debug_layers(
    model: Path | str,
    *,
    reference: Path | str | None = None,
    recipe: Recipe | str | None = None,
    samples: int = SAMPLES,
    progress: Progress | None = None,
) -> LayerReport:
    """Compare every layer of a quantized ``.tflite`` with the float model's, and rank them.

    ``model`` is a run folder, or a quantized ``.tflite`` together with its float ``reference`` and
    the ``recipe`` whose data and preprocessing it takes. Samples are the recipe's dev samples, or
    its calibration samples where it has none; never those of the verdict.

    Raises:
        UsageError: files that are not there, or no ``.tflite``.
        DataError: the recipe's data cannot be opened.
        MismatchError: the two models are not of one network.
        SessionError: a model fails, or computes NaN.
    """
    if samples < 1:
        raise UsageError(f"samples must be at least 1, not {samples}")
    progress = progress or SilentProgress()
    asked = _asked(Path(model), None if reference is None else Path(reference), recipe)
    before, after = _read(asked.reference), _read(asked.model)
    found = hard_cases(before)
    dataset = open_dev_samples(asked.recipe, samples, progress)
    return LayerReport(
        model=str(asked.model),
        reference=str(asked.reference),
        recipe=asked.recipe.name,
        role=dataset.role.value,
        errors=layer_errors(before, after, dataset, progress, usable_cores()),
        hard_cases=found,
    )


@dataclass(frozen=True)
class _Asked:
    model: Path
    reference: Path
    recipe: Recipe


def _asked(model: Path, reference: Path | None, recipe: Recipe | str | None) -> _Asked:
    if not model.exists():
        raise UsageError(f"there is no {model}", hint="Give a run folder, or a .tflite file.")
    folder = model if model.is_dir() else None
    if folder is not None:
        recipe = recipe_of_run(folder) if recipe is None else recipe
        reference = reference or folder / FLOAT_FILE
        model = folder / QUANTIZED_FILE
        if not model.is_file():
            raise UsageError(
                f"{folder} has no {QUANTIZED_FILE}: layers are compared in .tflite models only"
            )
        if not reference.is_file():
            raise UsageError(
                f"there is no {reference}", hint="Give the float .tflite with --float FILE."
            )
    if reference is None or recipe is None:
        lacking = "--float FLOAT.tflite" if reference is None else "--recipe NAME"
        raise UsageError(
            f"{model} alone cannot be compared: {lacking} is missing",
            hint=f"edgekit debug {model} --float FLOAT.tflite --recipe NAME",
        )
    return _Asked(model, reference, load_recipe(recipe) if isinstance(recipe, str) else recipe)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def open_dev_samples(recipe: Recipe, samples: int, progress: Progress) -> Dataset:
    """The recipe's dev samples, or its calibration samples where it has none: never those of the
    verdict.

    Raises:
        DataError: neither can be opened.
    """

    def opened(dataset: str, role: Role, on_broken: str) -> Dataset:
        return open_dataset(
            dataset,
            role=role,
            preprocess=recipe.preprocess,
            inputs=recipe.model.inputs,
            samples=samples,
            on_broken="skip" if on_broken == "skip" else "error",
            progress=progress,
        )

    try:
        return opened(recipe.evaluate.dataset, Role.DEV, recipe.evaluate.on_broken)
    except DataError as error:
        progress.note(
            f"no dev samples ({error.message}): calibration samples instead, which the ranges "
            "were made from, so clipping looks smaller than it is"
        )
    return opened(recipe.calibration.dataset, Role.CALIBRATION, recipe.calibration.on_broken)
