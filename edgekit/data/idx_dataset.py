"""Samples from a manifest's IDX files: uint8 images of one size, each a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import PIL

from edgekit.cache import content_key
from edgekit.data.arrays import row_hashes, row_image
from edgekit.data.exposure import ExposureRule, darken, stops_below
from edgekit.data.idx import read_idx
from edgekit.data.manifest import Manifest
from edgekit.data.manifest_files import IdxFiles, PinnedFile, short_names
from edgekit.data.preprocess import Preprocessor
from edgekit.data.rows import FileRows, Picked, pick
from edgekit.errors import DataError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.types import Array, Role, Sample


@dataclass(frozen=True)
class _Read:
    """uint8 images ``[N, H, W]`` or ``[N, H, W, C]``, their labels, and what is known of each."""

    images: Array
    labels: Array | None
    rows: FileRows


class IdxDataset:
    """A ``Dataset`` of rows of IDX files for one image input; made by ``open_idx``."""

    def __init__(
        self,
        name: str,
        role: Role,
        parts: Sequence[_Read],
        picked: Picked,
        preprocessor: Preprocessor,
        exposure: ExposureRule | None,
    ):
        self.name = name
        self.role = role
        self.skipped: tuple[str, ...] = ()
        self.repeated = picked.repeated
        self.labelled = all(parts[file].labels is not None for file, _ in picked.rows)
        self.targeted = False
        self.value_range = preprocessor.value_range()
        self._parts = parts
        self._rows = picked.rows
        self._preprocessor = preprocessor
        self._exposure = exposure
        hashes = [parts[file].rows.hashes[row] or "" for file, row in self._rows]
        self.images = {self._id(index): sha256 for index, sha256 in enumerate(hashes)}
        content = "".join(f"{sha256} {self._label(index)}\n" for index, sha256 in enumerate(hashes))
        self.fingerprint = content_key(
            {
                "samples": hashlib.sha256(content.encode()).hexdigest(),
                "preprocess": preprocessor.spec,
                "input": preprocessor.input,
                "pillow": PIL.__version__,
                **({"exposure": exposure} if exposure else {}),
            }
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        feeds = {self._preprocessor.input.name: self._preprocessor.tensor(self.pixels(index))}
        return Sample(self._id(index), self._id(index), feeds, self._label(index))

    def pixels(self, index: int) -> Array:
        """uint8 ``[H, W, C]``; see ``Dataset.pixels``."""
        file, row = self._rows[index]
        images = self._parts[file].images
        if self._exposure is not None:
            images, row = darken(images[row : row + 1], self.stops_below(index)), 0
        return pixels_of_row(images, row, self._preprocessor)

    def stops_below(self, index: int) -> float:
        """By how many stops the manifest has the picture darkened."""
        if self._exposure is None:
            return 0.0
        file, row = self._rows[index]
        return stops_below(self._exposure, self._parts[file].rows.hashes[row] or "")

    def _id(self, index: int) -> str:
        file, row = self._rows[index]
        return f"{self._parts[file].rows.name}[{row}]"

    def _label(self, index: int) -> int | None:
        file, row = self._rows[index]
        labels = self._parts[file].labels
        return None if labels is None else int(labels[row])


def open_idx(
    manifest: Manifest,
    role: Role,
    preprocessor: Preprocessor,
    *,
    samples: int | None,
    progress: Progress,
) -> IdxDataset:
    """The rows of ``role``, at most ``samples`` of them: a fair sample, see ``rows.Picked``.

    Raises:
        DataError: a file that is not what it should be, or rows it does not have.
        FetchError, IntegrityError, UsageError: as ``fetch.fetch``.
    """
    names = short_names([files.images for files in manifest.idx])
    with progress.task(f"Reading the {role.value} images of {manifest.name}"):
        parts = [
            _read(files, name, manifest, progress)
            for files, name in zip(manifest.idx, names, strict=True)
            if files.roles.concern(role)
        ]
        picked = pick([part.rows for part in parts], role, samples)
    if not picked.rows:
        raise DataError(f"{manifest.name} has no image for {role.value}")
    for file in {file for file, _ in picked.rows}:
        try:
            preprocessor.pixels(row_image(parts[file].images, 0))
        except DataError as failure:
            message = f"{parts[file].rows.name}[0] {failure.message}"
            raise DataError(message, hint=failure.hint) from failure
    return IdxDataset(manifest.name, role, parts, picked, preprocessor, manifest.exposure)


def pixels_of_row(images: Array, row: int, preprocessor: Preprocessor) -> Array:
    """As ``preprocessor.pixels`` of that row as an image; where nothing is resized, cropped or made
    grey, no image is made, which takes a tenth of the time."""
    spec = preprocessor.spec
    pixels = np.asarray(images[row])
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    if spec.resize or spec.crop or (spec.colour == "GRAY" and not grey):
        return preprocessor.pixels(row_image(images, row))
    if grey:
        pixels = pixels.reshape(*pixels.shape[:2], 1)
        return pixels if spec.colour == "GRAY" else np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, ::-1]) if spec.colour == "BGR" else pixels


def _read(files: IdxFiles, name: str, manifest: Manifest, progress: Progress) -> _Read:
    images = _array(files.images, manifest, progress)
    if images.dtype != np.uint8 or not (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    ):
        raise DataError(
            f"{name} holds {images.dtype.name} {list(images.shape)}; images are uint8 [N, H, W] "
            "or [N, H, W, C]",
            hint="Are the files of images and labels mistaken for each other?",
        )
    labels = (
        None if files.labels is None else _labels(files.labels, len(images), manifest, progress)
    )
    classes = [None] * len(images) if labels is None else labels.tolist()
    return _Read(images, labels, FileRows(name, row_hashes([images]), classes, files.roles))


def _labels(file: PinnedFile, images: int, manifest: Manifest, progress: Progress) -> Array:
    labels = _array(file, manifest, progress)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{file.name} holds {labels.dtype.name} {list(labels.shape)}; labels are whole "
            "numbers [N], 0 or more",
            hint="Are the files of images and labels mistaken for each other?",
        )
    if len(labels) != images:
        raise DataError(
            f"{file.name} has {len(labels)} labels for {images} images",
            hint="Are both files of one set? A test set's labels do not fit training images.",
        )
    return labels


def _array(file: PinnedFile, manifest: Manifest, progress: Progress) -> Array:
    path = fetch(file.source, sha256=file.sha256, base=manifest.base, progress=progress)
    return read_idx(path)
