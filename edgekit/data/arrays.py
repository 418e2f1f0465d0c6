"""Samples from .npy and .npz files: model inputs as they are, or uint8 images.

An ``.npz`` has one array a model input, by name, and optionally ``labels`` (class indices) and
``targets`` (right answers that are arrays: values, masks, boxes, token ids); an ``.npy`` is the one
input. Rows (the first axis) are samples and are split into roles by content, like images.
Arrays come in the model's own layout; what is channels-first is handed on channels-last.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.cache import content_key
from edgekit.data.dataset import ImageList, ImageRef, split
from edgekit.data.preprocess import stated_range
from edgekit.errors import DataError, UsageError
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Array, Role, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

LABELS = "labels"
TARGETS = "targets"


@dataclass(frozen=True)
class Answers:
    """The right answers of a file's rows, where it has them: int [N], and numbers [N, ...]."""

    labels: Array | None
    targets: Array | None


class ArrayDataset:
    """A ``Dataset`` of arrays that already are model inputs; made by ``open_arrays``."""

    def __init__(
        self,
        name: str,
        role: Role,
        arrays: Mapping[str, Array],
        answers: Answers,
        rows: Sequence[int],
        hashes: Sequence[str],
        inputs: tuple[InputSpec, ...],
        preprocess: PreprocessSpec,
    ):
        self.name = name
        self.role = role
        self.skipped: tuple[str, ...] = ()
        self.repeated = 0
        self.labelled = answers.labels is not None
        self.targeted = answers.targets is not None
        self.value_range = stated_range(preprocess)
        self._arrays = arrays
        self._answers = answers
        self._rows = tuple(rows)
        self._inputs = inputs
        self.images = {f"{name}[{row}]": hashes[row] for row in self._rows}
        labels, targets = answers.labels, answers.targets
        self.fingerprint = content_key(
            {
                "samples": [hashes[row] for row in self._rows],
                "labels": None if labels is None else [int(labels[row]) for row in self._rows],
                "targets": None if targets is None else row_hashes([targets[list(self._rows)]]),
                "preprocess": preprocess,
                "inputs": inputs,
            }
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        row = self._rows[index]
        feeds = {}
        for spec in self._inputs:
            value = np.asarray(self._arrays[spec.name][row : row + 1], np.dtype(spec.dtype))
            if spec.layout == "NCHW":
                value = np.ascontiguousarray(value.transpose(0, 2, 3, 1))
            feeds[spec.name] = value
        labels, targets = self._answers.labels, self._answers.targets
        label = None if labels is None else int(labels[row])
        target = None if targets is None else np.asarray(targets[row])
        name = f"{self.name}[{row}]"
        return Sample(name, name, feeds, label, target)

    def __getstate__(self) -> dict[str, Any]:
        """What is mapped from a file goes to another process by its name, not by its content."""
        arrays = {
            key: Path(str(array.filename)) if isinstance(array, np.memmap) else array
            for key, array in self._arrays.items()
        }
        return {**self.__dict__, "_arrays": arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._arrays = {
            key: np.lib.format.open_memmap(array, mode="r") if isinstance(array, Path) else array
            for key, array in state["_arrays"].items()
        }

    def pixels(self, index: int) -> Array:
        """Arrays have none; see ``Dataset.pixels``."""
        raise UsageError(f"{self.name} holds arrays, which have no pixels")


def open_arrays(
    path: Path,
    role: Role,
    inputs: tuple[InputSpec, ...],
    preprocess: PreprocessSpec,
    samples: int | None,
) -> ArrayDataset:
    """The rows of ``path`` that have ``role``, at most ``samples`` of them.

    Raises:
        DataError: not such a file, or its arrays are not what the model takes.
    """
    arrays, answers = _load(path, [spec.name for spec in inputs])
    for spec in inputs:
        _check_input(path, arrays[spec.name], spec)
    hashes = row_hashes([arrays[spec.name] for spec in inputs])
    rows = split(range(len(hashes)), hashes, role)[:samples]
    if not rows:
        raise _too_few(path, role, len(hashes))
    return ArrayDataset(path.name, role, arrays, answers, rows, hashes, inputs, preprocess)


def list_array_images(path: Path, role: Role) -> ImageList:
    """The rows of a uint8 array ``[N, H, W]`` or ``[N, H, W, C]`` (C is 1 or 3), as images.

    Raises:
        DataError: not such an array.
    """
    arrays, answers = _load(path, None)
    labels = answers.labels
    if len(arrays) != 1:
        raise DataError(
            f"{path} has {len(arrays)} arrays ({', '.join(sorted(arrays)[:5])}); "
            "images are one array, beside 'labels' where there are any",
            hint="For arrays that already are model inputs: preprocess.kind: arrays",
        )
    (images,) = arrays.values()
    if images.dtype != np.uint8 or not (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    ):
        raise DataError(
            f"{path} holds {images.dtype} {list(images.shape)}; images are uint8 [N, H, W, C]",
            hint="For arrays that already are model inputs: preprocess.kind: arrays",
        )
    hashes = row_hashes([images])
    refs = [
        ImageRef(
            id=f"{path.name}[{row}]",
            sha256=hashes[row],
            label=None if labels is None else int(labels[row]),
            load=partial(row_image, images, row),
        )
        for row in range(len(images))
    ]
    mine = split(refs, hashes, role)
    if not mine:
        raise _too_few(path, role, len(hashes))
    return ImageList(path.name, mine)


def row_image(images: Array, row: int) -> Image:
    """Row ``row`` of uint8 ``[N, H, W]`` or ``[N, H, W, C]`` as an image of mode RGB."""
    from PIL import Image

    pixels = np.asarray(images[row])
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _load(path: Path, names: Sequence[str] | None) -> tuple[dict[str, Array], Answers]:
    """Arrays by input name (by key where ``names`` is ``None``), and the right answers."""
    try:
        if path.suffix == ".npy":
            # Left on disk, it costs memory only for the rows that are read.
            array: Array = np.lib.format.open_memmap(path, mode="r")
            arrays = {path.stem if names is None else names[0]: array}
        else:
            with path.open("rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                if isinstance(loaded, np.ndarray):
                    raise ValueError("it is an .npy file under another name")
                arrays = {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise DataError(f"{path} cannot be read as NumPy data: {reason}") from cause
    labels, targets = (
        arrays.pop(key, None) if names is None or key not in names else None
        for key in (LABELS, TARGETS)
    )
    if names is not None and set(arrays) != set(names):
        raise DataError(
            f"{path} has the arrays {sorted(arrays)} but the model's inputs are {list(names)}",
            hint=f"Save one array an input, by its name, and optionally '{LABELS}' or '{TARGETS}'.",
        )
    lengths = {key: array.shape[0] if array.ndim else 0 for key, array in arrays.items()}
    rows = set(lengths.values())
    if rows == {0}:
        raise DataError(f"{path} holds no samples: its arrays have no rows")
    if len(rows) != 1:
        raise DataError(f"{path}: every array needs the same number of rows, got {lengths}")
    if labels is not None and (labels.shape != (*rows,) or labels.dtype.kind not in "iu"):
        raise DataError(
            f"{path}: '{LABELS}' must be {next(iter(rows))} whole numbers, "
            f"is {labels.dtype} {list(labels.shape)}"
        )
    if targets is not None:
        _check_targets(path, targets, next(iter(rows)))
    return arrays, Answers(labels, targets)


def _check_targets(path: Path, targets: Array, rows: int) -> None:
    if targets.ndim < 1 or len(targets) != rows or targets.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: '{TARGETS}' must be numbers for {rows} rows, "
            f"is {targets.dtype} {list(targets.shape)}",
            hint="Boxes and token ids of different number are padded to one length; see metrics.md",
        )
    for row in range(rows) if targets.dtype.kind == "f" else ():
        if not np.isfinite(targets[row]).all():
            raise DataError(f"{path}: '{TARGETS}' of row {row} holds NaN or infinity")


def _check_input(path: Path, array: Array, spec: InputSpec) -> None:
    if array.shape[1:] != spec.shape[1:] or spec.shape[0] != 1:
        raise DataError(
            f"{path}: '{spec.name}' is {list(array.shape)} but the model takes {list(spec.shape)}",
            hint="Arrays are [N, ...] in the model's own layout, for a model with a batch of 1.",
        )
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise DataError(
            f"{path}: '{spec.name}' is {array.dtype} but the model takes {spec.dtype}",
            hint="Images as uint8 need preprocess.kind: image and the model's normalisation.",
        )


def row_hashes(arrays: Sequence[Array]) -> list[str]:
    """sha256 of each row's type, shape and bytes, over all inputs."""
    forms = [f"{array.dtype.str}{array.shape[1:]}".encode() for array in arrays]
    return [
        hashlib.sha256(
            b"".join(form + array[row].tobytes() for form, array in zip(forms, arrays, strict=True))
        ).hexdigest()
        for row in range(len(arrays[0]))
    ]


def _too_few(path: Path, role: Role, rows: int) -> DataError:
    return DataError(
        f"{path} has {rows} rows, too few to give {role.value} any",
        hint="Rows are split by content: 50 % calibration, 20 % dev, 30 % eval.",
    )
