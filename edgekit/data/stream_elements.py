"""What a user's stream yields, taken apart into samples.

An element is an array, a tuple or list of arrays in input order, or a dict by input name; any of
these may stand in a tuple with a label: ``(features, label)``. An array of the input's own rank is
a batch and is taken apart; with one axis less it is one sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import DataError
from edgekit.recipe.schema import InputSpec
from edgekit.types import Array

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One sample: arrays without a batch axis, by input name, and its class if it has one."""

    arrays: Mapping[str, Array]
    label: int | None


def input_rows(element: Any, inputs: Sequence[InputSpec], where: str) -> Iterator[Row]:
    """The samples in ``element``, held against the model's ``inputs``; dtypes are the inputs' own.

    ``where`` names the element in errors.

    Raises:
        DataError: another structure, shape or dtype than the model's.
    """
    features, label = _features_and_label(element, len(inputs))
    values = _by_name(features, [spec.name for spec in inputs], where)
    batches = {spec.name: _batch(values[spec.name], spec, where) for spec in inputs}
    counts = {name: len(batch) for name, batch in batches.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"{where}: the batches differ in length: {counts}")
    count = next(iter(counts.values()))
    labels = _labels(label, count, where)
    for index in range(count):
        yield Row({name: batch[index] for name, batch in batches.items()}, labels[index])


def image_rows(element: Any, where: str) -> Iterator[Row]:
    """The images in ``element``: uint8 ``[H, W]``, ``[H, W, C]`` or ``[N, H, W, C]`` (C 1 or 3),
    each under the name ``image``.

    Raises:
        DataError: something else.
    """
    features, label = _features_and_label(element, 1)
    names = list(features) if isinstance(features, Mapping) else ["image"]
    if len(names) != 1:
        raise DataError(f"{where} is a dict of {', '.join(map(str, names))}; an image is one array")
    image = _array(_by_name(features, names, where)[names[0]], where)
    if image.dtype != np.uint8:
        raise DataError(
            f"{where} is {image.dtype} {list(image.shape)}; images are uint8 [H, W, C], 0 to 255",
            hint="For arrays that already are model inputs: preprocess.kind: arrays",
        )
    single = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if not single and not (image.ndim == 4 and image.shape[3] in (1, 3)):
        first = image.shape[-3] if image.ndim in (3, 4) else None
        raise DataError(
            f"{where} is uint8 {list(image.shape)}; images are [H, W, C] with C 1 or 3",
            hint="This one is channels-first: yield np.moveaxis(image, -3, -1)."
            if first in (1, 3)
            else "A batch of grey images is [N, H, W, 1].",
        )
    images = image[None] if single else image
    for pixels, own in zip(images, _labels(label, len(images), where), strict=True):
        yield Row({"image": pixels}, own)


def _features_and_label(element: Any, inputs: int) -> tuple[Any, Any]:
    """``(features, label)`` where the element is one: a pair that is not the two inputs."""
    if not isinstance(element, tuple | list) or len(element) != 2:
        return element, None
    if inputs != 2 or isinstance(element[0], tuple | list | Mapping):
        return element[0], element[1]
    return element, None


def _by_name(features: Any, names: Sequence[str], where: str) -> dict[str, Any]:
    if isinstance(features, Mapping):
        if set(features) != set(names):
            raise DataError(
                f"{where} is a dict of {', '.join(sorted(map(str, features)))}, "
                f"but the model's inputs are {', '.join(names)}"
            )
        return dict(features)
    if not isinstance(features, tuple | list):
        features = (features,)
    if len(features) != len(names):
        raise DataError(
            f"{where} holds {len(features)} arrays, but the model has {len(names)} "
            f"inputs ({', '.join(names)})",
            hint="Yield a list in input order, a dict by input name, or (features, label).",
        )
    return dict(zip(names, features, strict=True))


def _batch(value: Any, spec: InputSpec, where: str) -> Array:
    """``[N, ...]`` of the input's dtype."""
    array = _array(value, where)
    at = f"{where}: '{spec.name}'"
    own = spec.shape[1:]
    if array.shape == own:
        array = array[None]
    if array.ndim != len(spec.shape) or array.shape[1:] != own:
        raise DataError(
            f"{at} is {list(array.shape)} but the model takes {list(spec.shape)}",
            hint=_other_layout(array.shape, own)
            or "Yield one sample, or a batch [N, ...] of them.",
        )
    if len(array) == 0:
        raise DataError(f"{at} is an empty batch, {list(array.shape)}")
    wanted = np.dtype(spec.dtype)
    if array.dtype.kind != wanted.kind or not np.can_cast(array.dtype, wanted, "same_kind"):
        hint = f"Yield it as {spec.dtype}, on the scale that the model was trained with."
        if array.dtype == np.uint8 and len(spec.shape) == 4:
            hint = (
                "Bare pixels need preprocess.kind: image and the model's normalisation; a model "
                "that normalises them itself takes astype(np.float32)."
            )
        raise DataError(f"{at} is {array.dtype} but the model takes {spec.dtype}", hint=hint)
    return array.astype(wanted, copy=False)


def _other_layout(shape: Shape, own: Shape) -> str | None:
    """What to do where the axes only stand in the other order."""
    if len(own) != 3 or len(shape) not in (3, 4):
        return None
    sample = shape[-3:]
    if own[0] == own[1] == own[2]:
        return None
    if (sample[1], sample[2], sample[0]) == own:
        return "It is channels-first, the model channels-last: yield np.moveaxis(array, -3, -1)."
    if (sample[2], sample[0], sample[1]) == own:
        return "It is channels-last, the model channels-first: yield np.moveaxis(array, -1, -3)."
    return None


def _array(value: Any, where: str) -> Array:
    """NumPy's view of an array or a tensor of any framework."""
    if callable(getattr(value, "numpy", None)):
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where} holds {array.dtype} values ({type(value).__name__}), which are no numbers",
            hint="Ragged and sparse tensors and texts must be made dense numbers first.",
        )
    return array


def _labels(value: Any, count: int, where: str) -> list[int | None]:
    if value is None:
        return [None] * count
    labels = _array(value, f"{where}: the label")
    if labels.size != count or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: the label is {labels.dtype} {list(labels.shape)} for {count} samples",
            hint="A label is one whole number a sample, the class index (argmax of a one-hot row).",
        )
    return [int(label) for label in labels.reshape(-1)]
