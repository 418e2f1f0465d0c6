"""The text of a starter recipe: YAML with a comment at every section."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.recipe.schema import InputSpec
from edgekit.sources.described_file import Described

SHIPPED_PHOTOS = "imagenet_photos"
_CROP_FRACTION = 0.875  # of the resized side: 224 of 256, the usual ImageNet evaluation
_YAML_WORDS = ("true", "false", "null")

NORMALIZATIONS = {
    "imagenet": ("255", "[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]"),
    "unit": ("255", "[0]", "[1]"),
    "signed": ("1", "[127.5]", "[127.5]"),
    "raw": ("1", "[0]", "[1]"),
}
"""Divisor, mean and std by name: ``(pixel / divisor - mean) / std``."""


@dataclass(frozen=True)
class ImageInput:
    """The image input of a model, and how pixels become it."""

    height: int
    width: int
    channels: int
    numbers: tuple[str, str, str]
    """As in ``NORMALIZATIONS``."""

    @property
    def resized_side(self) -> int:
        return round(min(self.height, self.width) / _CROP_FRACTION)

    @property
    def colour(self) -> str:
        return "GRAY" if self.channels == 1 else "RGB"


def recipe_name(model: Path) -> str:
    """The recipe's name for a model file: letters, digits and underscores of ASCII."""
    stem = model.name.split(".", 1)[0]
    return re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()[:90] or "model"


def recipe_text(
    model: Path,
    described: Described,
    image: ImageInput | None,
    data: Path | None,
    folder: Path | None,
) -> str:
    """YAML for ``model`` with its ``data``, whose paths are relative to ``folder``, or absolute."""
    classes = class_count(described)
    dataset = SHIPPED_PHOTOS if data is None else _path(data, folder)
    if data is not None and os.sep not in dataset:  # a path, whatever ships under that name
        dataset = f"./{dataset}"
    lines = [
        f"# Made from {model.name}. Every line may be changed; see docs/recipe-reference.md.",
        "schema: 1",
        f"name: {recipe_name(model)}_int8",
        "",
        "model:",
        f"  framework: {described.framework}",
        f"  file: {_quoted('file:' + _path(model, folder))}",
        *([f"  signature: {_quoted(described.signature)}"] if described.signature else []),
        "  inputs:",
        *(f"    - {_input_line(spec)}" for spec in described.inputs),
        f"  outputs: [{', '.join(map(_quoted, described.outputs))}]",
        _labels_line(model, described, folder),
        "",
        "preprocess:",
        *(["  kind: arrays"] if image is None else _image_lines(image)),
        "",
        "# What the ranges of the activations are taken from: like the data of real use.",
        "calibration:",
        f"  dataset: {_quoted(dataset)}",
        "  samples: 100",
        "",
        "quantize:",
        *_method_lines(described),
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
    return "\n".join(lines)


def _method_lines(described: Described) -> list[str]:
    if described.framework in ("keras", "tensorflow"):
        return [
            "  # tflite_int8 or litert_static, whichever measures better on samples set apart",
            "  method: auto",
        ]
    if described.framework == "onnx":
        return [
            "  # a full-integer .tflite; ort_static and ort_dynamic make an INT8 .onnx instead",
            "  method: litert_static",
        ]
    return ["  method: litert_static"]


def _image_lines(image: ImageInput) -> list[str]:
    size = f"width: {image.width}, height: {image.height}"
    if image.height == image.width:
        shape = [
            f"  resize: {{shorter_side: {image.resized_side}, filter: bilinear}}",
            f"  crop: {{{size}}}",
        ]
    else:
        shape = [f"  resize: {{{size}, filter: bilinear}}"]
    divisor, mean, std = image.numbers
    return [
        *shape,
        f"  colour: {image.colour}",
        "  # (pixel / divisor - mean) / std, exactly as in training",
        f"  divisor: {divisor}",
        f"  mean: {mean}",
        f"  std: {std}",
    ]


def stated_numbers(described: Described, name: str, channels: int) -> tuple[str, str, str] | None:
    """Divisor, mean and std of input ``name`` by the file's own metadata, where it has them."""
    ends = described.metadata.inputs if described.metadata else ()
    names = [spec.name for spec in described.inputs]
    if len(ends) != len(names):
        return None
    said = ends[names.index(name)].normalization
    if said is None or {len(said.mean), len(said.std)} - {1, channels}:
        return None
    mean, std = (f"[{', '.join(map(_number, side))}]" for side in (said.mean, said.std))
    return "1", mean, std


def has_labels(described: Described) -> bool:
    """Whether the file's own metadata names the classes of its first output."""
    ends = described.metadata.outputs if described.metadata else ()
    return bool(ends) and len(ends[0].labels) == class_count(described)


def _labels_line(model: Path, described: Described, folder: Path | None) -> str:
    if not has_labels(described):
        return "  # labels: {source: file:labels.txt}  # class names, one a line"
    source = _quoted("file:" + _path(model, folder))
    return f"  labels: {{source: {source}}}  # class names, in the file's own metadata"


def _number(value: float) -> str:
    """The shortest decimal of a float32, without an exponent, which YAML reads as text."""
    return np.format_float_positional(np.float32(value), trim="0")


def class_count(described: Described) -> int | None:
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
    """``text`` as YAML, bare where it can be read as nothing else."""
    plain = re.fullmatch(r"(\.{0,2}/)*[A-Za-z_][\w./-]*", text, re.ASCII)
    if plain and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML one
