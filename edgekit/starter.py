"""A first recipe for one's own model: what the file says, what was chosen, what is assumed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.data.arrays import list_array_images
from edgekit.data.folder import class_folders
from edgekit.data.open import open_dataset
from edgekit.errors import DataError, RecipeError, SourceError, UsageError
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec, Recipe
from edgekit.sources.described import describe
from edgekit.sources.described_file import Described
from edgekit.starter_yaml import (
    NORMALIZATIONS,
    SHIPPED_PHOTOS,
    ImageInput,
    class_count,
    has_labels,
    recipe_name,
    recipe_text,
    stated_numbers,
)
from edgekit.types import Role

_ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Choices:
    """What the user said about the model. ``None`` is "not said"."""

    data: Path | None = None
    normalize: str | None = None
    input_shape: tuple[int, ...] | None = None
    layout: str | None = None
    signature: str | None = None


@dataclass(frozen=True)
class Started:
    """A recipe made for a model; ``text`` is its YAML, with a comment at every section."""

    recipe: Recipe
    text: str
    assumptions: tuple[str, ...]


def parse_shape(text: str) -> tuple[int, ...]:
    """``"1,3,224,224"`` or ``"1x3x224x224"``.

    Raises:
        UsageError: anything else.
    """
    if not re.fullmatch(r"[1-9]\d*([,x][1-9]\d*)*", text.strip(), re.ASCII):
        raise UsageError(f"{text!r} is no shape", hint="e.g. --input-shape 1,3,224,224")
    return tuple(int(size) for size in re.split("[,x]", text.strip()))


def starter_recipe(
    model: Path,
    choices: Choices,
    overrides: Sequence[str] = (),
    *,
    ask: Callable[[], str] | None = None,
    folder: Path | None = None,
) -> Started:
    """Look into ``model`` and its data, and make a recipe that validates.

    ``ask`` is called for the normalisation where it matters and was not chosen; without it that is
    an error, for a wrong one costs accuracy silently. Paths are written relative to ``folder``,
    where the recipe is to lie, or absolute.

    Raises:
        SourceError: the model file cannot be described, or no recipe fits it.
        UsageError: the normalisation is needed and unknown, or given where there is none.
        DataError: the data does not fit the model's inputs.
    """
    if choices.data is not None and not choices.data.exists():
        raise DataError(f"there is no file or folder {choices.data}", hint="Correct --data.")
    described = describe(
        model,
        input_shape=choices.input_shape,
        layout=choices.layout,
        signature=choices.signature,
    )
    image = _image(described, choices, ask)
    recipe = _validated(model, recipe_text(model, described, image, choices.data, None), overrides)
    if choices.data is not None:
        _check_data(recipe)
    return Started(
        recipe=recipe,
        text=recipe_text(model, described, image, choices.data, folder),
        assumptions=_assumptions(described, image, choices.data),
    )


def _image(
    described: Described, choices: Choices, ask: Callable[[], str] | None
) -> ImageInput | None:
    """The one image input, or ``None`` where the data are arrays that are inputs already."""
    data = choices.data
    if data is not None and data.suffix in _ARRAYS and not _holds_pixels(data):
        if choices.normalize is not None:
            raise UsageError(
                f"--normalize is about images; the arrays in {data} are passed on as they are",
                hint="Leave it out, or give images: a folder, or arrays of uint8.",
            )
        return None
    images = [spec for spec in described.inputs if spec.layout in ("NCHW", "NHWC")]
    if len(described.inputs) != 1 or not images:
        raise DataError(
            "the model does not take exactly one image: "
            + ", ".join(f"{spec.name} {list(spec.shape)}" for spec in described.inputs),
            hint="Give its inputs as arrays: --data samples.npz with one key an input.",
        )
    (spec,) = images
    height, width, channels = _image_size(spec)
    stated = stated_numbers(described, spec.name, channels)
    if stated is None or choices.normalize is not None or spec.dtype != "float32":
        stated = NORMALIZATIONS[_normalization(spec, channels, choices.normalize, ask)]
    return ImageInput(height, width, channels, stated)


def _holds_pixels(file: Path) -> bool:
    """Whether the arrays are images, which have yet to be normalised."""
    try:
        list_array_images(file, Role.CALIBRATION)
    except DataError:
        return False
    return True


def _image_size(spec: InputSpec) -> tuple[int, int, int]:
    if spec.layout == "NCHW":
        return spec.shape[2], spec.shape[3], spec.shape[1]
    return spec.shape[1], spec.shape[2], spec.shape[3]


def _normalization(
    spec: InputSpec, channels: int, chosen: str | None, ask: Callable[[], str] | None
) -> str:
    if spec.dtype != "float32":  # bare pixels; the model normalises them itself
        if chosen not in (None, "raw"):
            raise UsageError(
                f"--normalize {chosen} makes real numbers, but input {spec.name} is {spec.dtype}",
                hint="Leave it out.",
            )
        return "raw"
    if chosen is None and ask is None:
        raise UsageError(
            "the file does not say how pixels become the model's input",
            hint="Add --normalize imagenet, unit, signed or raw: what its training code did.",
        )
    chosen = chosen or (ask() if ask else None)
    assert chosen is not None
    if chosen == "imagenet" and channels == 1:
        raise UsageError(
            "--normalize imagenet has three channels, the model's input has one",
            hint="Use unit, signed or raw.",
        )
    return chosen


def _validated(model: Path, text: str, overrides: Sequence[str]) -> Recipe:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{recipe_name(model)}_int8.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            return load_recipe(str(file), overrides)
        except RecipeError as error:
            own = [p for p in error.problems if p.where is not None and p.where.file == str(file)]
            if not own:
                raise  # the overrides are wrong
            raise SourceError(
                f"no recipe can be made for {model}: "
                + "; ".join(problem.message for problem in own)
            ) from error


def _check_data(recipe: Recipe) -> None:
    """Open the data as the run will, so that what does not fit is said now."""
    for role, dataset, on_broken in (
        (Role.CALIBRATION, recipe.calibration.dataset, recipe.calibration.on_broken),
        (Role.EVAL, recipe.evaluate.dataset, recipe.evaluate.on_broken),
    ):
        if Path(dataset).is_dir() or dataset.endswith(_ARRAYS):  # a manifest's files are fetched
            open_dataset(
                dataset,
                role=role,
                preprocess=recipe.preprocess,
                inputs=recipe.model.inputs,
                samples=1,
                on_broken=on_broken,
            )


def _assumptions(
    described: Described, image: ImageInput | None, data: Path | None
) -> tuple[str, ...]:
    classes = class_count(described)
    made = list(described.guesses)
    if data is None:
        made.append(
            f"no --data: calibrated on {SHIPPED_PHOTOS}, public photos that may not be like yours"
        )
    if classes:
        made.append(f"output {described.outputs[0]} holds the scores of {classes} classes")
        if data is not None and data.is_dir() and (folders := class_folders(data)):
            made.append(_class_order(folders, classes))
    else:
        made.append("the outputs are plain numbers, not class scores")
    if image is not None:
        size = f"{image.width} x {image.height}"
        if image.height == image.width:
            made.append(f"images: shorter side to {image.resized_side}, then the centre {size}")
        else:
            made.append(f"images: resized to {size}, aspect not kept")
        made.append(f"channels are {image.colour}")
        made += _about_metadata(described, image)
    return tuple(made)


def _about_metadata(described: Described, image: ImageInput) -> list[str]:
    """What was taken from the file's own metadata, or taken otherwise by the user's choice."""
    stated = stated_numbers(described, described.inputs[0].name, image.channels)
    about = []
    if stated is not None:
        _, mean, std = stated
        formula = f"(pixel - {mean}) / {std}"
        if image.numbers == stated:
            about.append(f"pixels become {formula}, as the file's metadata says")
        else:
            about.append(f"as chosen; the file's metadata says that pixels become {formula}")
    if has_labels(described):
        about.append("class names are those of the file's metadata")
    return about


def _class_order(folders: tuple[str, ...], classes: int) -> str:
    shown = ", ".join(folders[:6]) + (", ..." if len(folders) > 6 else "")
    order = f"classes 0, 1, ... are the folders {shown}"
    if len(folders) == classes:
        return order
    return f"{order}: {len(folders)} folders for {classes} classes, so top-1 may be meaningless"
