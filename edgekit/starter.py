"""A first recipe for one's own model: what the file says, what was chosen, what is assumed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import DataError, UsageError
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec, Recipe
from edgekit.sources.described import Described, describe

SHIPPED_PHOTOS = "imagenet_photos"
_CROP_FRACTION = 0.875  # of the resized side: 224 of 256, the usual ImageNet evaluation

NORMALIZATIONS = {
    "imagenet": ("255", "[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]"),
    "unit": ("255", "[0]", "[1]"),
    "signed": ("1", "[127.5]", "[127.5]"),
    "raw": ("1", "[0]", "[1]"),
}
"""Divisor, mean and std by name: ``(pixel / divisor - mean) / std``."""


@dataclass(frozen=True)
class Choices:
    """What the user said about the model. ``None`` is "not said"."""

    data: Path | None = None
    normalize: str | None = None
    input_shape: tuple[int, ...] | None = None
    layout: str | None = None


@dataclass(frozen=True)
class Started:
    """A recipe made for a model; ``text`` is its YAML, with a comment at every assumption."""

    recipe: Recipe
    text: str
    assumptions: tuple[str, ...]


def parse_shape(text: str) -> tuple[int, ...]:
    """``"1,3,224,224"`` or ``"1x3x224x224"``.

    Raises:
        UsageError: anything else.
    """
    if not re.fullmatch(r"\d+([,x]\d+)*", text.strip()):
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
    """Look into ``model`` and make a recipe that validates.

    ``ask`` is called for the normalisation where it matters and was not chosen; without it that is
    an error, for a wrong one costs accuracy silently. Paths are written relative to ``folder``,
    where the recipe is to lie, or absolute.

    Raises:
        SourceError: the model file cannot be described.
        UsageError: the normalisation is needed and unknown.
        DataError: the data does not fit the model's inputs.
    """
    described = describe(model, input_shape=choices.input_shape, layout=choices.layout)
    image = _image_input(described, choices.data)
    normalize = choices.normalize
    if image is not None and normalize is None:
        if ask is None:
            raise UsageError(
                "the file does not say how pixels become the model's input",
                hint="Add --normalize imagenet, unit, signed or raw: what its training code did.",
            )
        normalize = ask()
    text, assumptions = _compose(model, described, image, normalize, choices.data, folder)
    absolute, _ = _compose(model, described, image, normalize, choices.data, None)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "recipe.yaml"
        file.write_text(absolute, encoding="utf-8")
        recipe = load_recipe(str(file), overrides)
    return Started(recipe=recipe, text=text, assumptions=assumptions)


def recipe_name(model: Path) -> str:
    """The recipe's name for a model file."""
    return re.sub(r"\W+", "_", model.name.split(".", 1)[0]).strip("_").lower() or "model"


def _image_input(described: Described, data: Path | None) -> InputSpec | None:
    """The one image input, or ``None`` where the data must be arrays."""
    arrays = data is not None and data.suffix in (".npy", ".npz")
    images = [spec for spec in described.inputs if spec.layout in ("NCHW", "NHWC")]
    if arrays:
        return None
    if len(described.inputs) == 1 and images:
        return images[0]
    raise DataError(
        "the model does not take exactly one image: "
        + ", ".join(f"{spec.name} {list(spec.shape)}" for spec in described.inputs),
        hint="Give its inputs as arrays: --data samples.npz with one key an input.",
    )


def _compose(
    model: Path,
    described: Described,
    image: InputSpec | None,
    normalize: str | None,
    data: Path | None,
    folder: Path | None,
) -> tuple[str, tuple[str, ...]]:
    assumptions = list(described.guesses)
    classes = _classes(described)
    dataset = SHIPPED_PHOTOS if data is None else _path(data, folder)
    if data is None:
        assumptions.append(
            f"no --data: calibrated on {SHIPPED_PHOTOS}, public photos that may not be like yours"
        )
    if classes:
        assumptions.append(f"output {described.outputs[0]} holds the scores of {classes} classes")
    else:
        assumptions.append("the outputs are plain numbers, not class scores")
    lines = [
        f"# Made from {model.name}. Every line may be changed; see docs/recipe-reference.md.",
        "schema: 1",
        f"name: {recipe_name(model)}_int8",
        "",
        "model:",
        f"  framework: {described.framework}",
        f"  file: {_quoted('file:' + _path(model, folder))}",
        "  inputs:",
        *(f"    - {_input_line(spec)}" for spec in described.inputs),
        f"  outputs: [{', '.join(map(_quoted, described.outputs))}]",
        "  # labels: {source: file:labels.txt}  # class names, one a line",
        "",
        "preprocess:",
        *(_image_lines(image, normalize, assumptions) if image else ["  kind: arrays"]),
        "",
        "# What the ranges of the activations are taken from: like the pictures of real use.",
        "calibration:",
        f"  dataset: {_quoted(dataset)}",
        "  samples: 100",
        "",
        "quantize:",
        "  method: litert_static",
        "",
        "# What float and INT8 are compared on; shares no image with calibration.",
        "evaluate:",
        f"  dataset: {_quoted(dataset)}",
        f"  task: {'classification' if classes else 'tensors'}",
        f"  samples: {400 if image else 100}",
        f"  labelled: {'true' if classes and data is not None else 'false'}",
        "",
        "# What a release must reach. A limit that is absent is not checked.",
        "gate:",
        "  agreement_min: 0.95" if classes else "  sqnr_db_min: 15",
        "  # size_ratio_max: 0.30",
        "  # speedup_min: 1.0",
        "",
        "latency:",
        "  threads: 1",
        "",
    ]
    return "\n".join(lines), tuple(assumptions)


def _image_lines(spec: InputSpec, normalize: str | None, assumptions: list[str]) -> list[str]:
    height, width, channels = _image_size(spec)
    divisor, mean, std = NORMALIZATIONS[normalize or "raw"]
    if channels == 1 and normalize == "imagenet":
        raise UsageError(
            "--normalize imagenet has three channels, the model's input has one",
            hint="Use unit, signed or raw.",
        )
    side = round(min(height, width) / _CROP_FRACTION)
    if height == width:
        resize = f"  resize: {{shorter_side: {side}, filter: bilinear}}"
        crop = f"  crop: {{width: {width}, height: {height}}}"
        assumptions.append(f"images: shorter side to {side}, then the centre {width} x {height}")
        size = [resize, crop]
    else:
        size = [f"  resize: {{width: {width}, height: {height}, filter: bilinear}}"]
        assumptions.append(f"images: resized to {width} x {height}, aspect not kept")
    colour = "GRAY" if channels == 1 else "RGB"
    assumptions.append(f"channels are {colour}")
    return [
        *size,
        f"  colour: {colour}",
        "  # (pixel / divisor - mean) / std, exactly as in training",
        f"  divisor: {divisor}",
        f"  mean: {mean}",
        f"  std: {std}",
    ]


def _image_size(spec: InputSpec) -> tuple[int, int, int]:
    if spec.layout == "NCHW":
        return spec.shape[2], spec.shape[3], spec.shape[1]
    return spec.shape[1], spec.shape[2], spec.shape[3]


def _classes(described: Described) -> int | None:
    """Number of classes where the first output looks like scores, else ``None``."""
    shape = described.output_shapes[0]
    return shape[1] if len(shape) == 2 and shape[0] == 1 and shape[1] > 1 else None


def _input_line(spec: InputSpec) -> str:
    shape = ", ".join(map(str, spec.shape))
    return (
        f"{{name: {_quoted(spec.name)}, shape: [{shape}], dtype: {spec.dtype}, "
        f"layout: {spec.layout}}}"
    )


def _path(path: Path, folder: Path | None) -> str:
    absolute = os.path.abspath(path)
    return absolute if folder is None else os.path.relpath(absolute, folder)


def _quoted(text: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text):
        return text
    return "'" + text.replace("'", "''") + "'"
