"""Samples from images: whole, or crops that go round the images in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import PIL

from edgekit.cache import content_key
from edgekit.data.crops import Box, CropRule, crop_box
from edgekit.data.dataset import ImageList, ImageRef
from edgekit.data.preprocess import Preprocessor
from edgekit.errors import DataError
from edgekit.progress import Progress
from edgekit.types import Array, Role, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

PIXEL_CACHE_BYTES = 256 * 1024 * 1024
"""Preprocessed uint8 pixels that one dataset keeps; the rest is decoded again when it is used."""


@dataclass(frozen=True)
class _Slot:
    """A place in the dataset: an image, whole (``crop`` is ``None``) or its crop of that number."""

    image: ImageRef
    crop: int | None


@dataclass(frozen=True)
class _Cut:
    """What a slot came to: its box, and its pixels where they are kept."""

    box: Box | None
    pixels: Array | None


class ImageDataset:
    """A ``Dataset`` of images for one image input; made by ``open_images``."""

    def __init__(
        self,
        name: str,
        role: Role,
        slots: Sequence[_Slot],
        cuts: Mapping[_Slot, _Cut],
        preprocessor: Preprocessor,
        skipped: tuple[str, ...],
    ):
        self.name = name
        self.role = role
        self.skipped = skipped
        self.repeated = 0
        self.images = {slot.image.id: slot.image.sha256 for slot in slots}
        self.labelled = all(slot.image.label is not None for slot in slots)
        self.targeted = False
        self.value_range = preprocessor.value_range()
        self._samples = [(slot.image, cuts[slot]) for slot in slots]
        self._preprocessor = preprocessor
        self.fingerprint = content_key(
            {
                "samples": [(image.sha256, image.label, cut.box) for image, cut in self._samples],
                "preprocess": preprocessor.spec,
                "input": preprocessor.input,
                "pillow": PIL.__version__,
            }
        )

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.sample, range(len(self)))

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        image, cut = self._samples[index]
        where = "" if cut.box is None else f"#{','.join(map(str, cut.box))}"
        feeds = {self._preprocessor.input.name: self._preprocessor.tensor(self.pixels(index))}
        return Sample(f"{image.id}{where}", image.id, feeds, image.label)

    def pixels(self, index: int) -> Array:
        """uint8 ``[H, W, C]``, not to be written to; see ``Dataset.pixels``."""
        image, cut = self._samples[index]
        if cut.pixels is not None:
            return cut.pixels
        whole = image.load()
        return _pixels(image, whole if cut.box is None else whole.crop(cut.box), self._preprocessor)

    def __getstate__(self) -> dict[str, Any]:
        """Another process decodes for itself what it needs of the pixels that are kept here."""
        bare = [(image, _Cut(cut.box, None)) for image, cut in self._samples]
        return {**self.__dict__, "_samples": bare}


def open_images(
    listed: ImageList,
    role: Role,
    preprocessor: Preprocessor,
    *,
    samples: int | None,
    crops: bool,
    on_broken: Literal["error", "skip"],
    progress: Progress,
    lazy: bool = False,
) -> ImageDataset:
    """Decode every image that is used, once, so that a broken one is known before work starts;
    ``lazy`` whole images are decoded only when they are asked for, and tell it then.

    Raises:
        DataError: no image is left, or one is broken and ``on_broken`` is ``"error"``.
    """
    rule = listed.crops if crops else None
    if samples is None and rule is not None:
        samples = rule.count
    images = listed.images
    skipped = list(listed.skipped)
    cuts: dict[_Slot, _Cut] = {}
    room = PIXEL_CACHE_BYTES
    if lazy and images and not (rule and samples and samples > len(images)):
        slots = _slots(images, samples, None)
        bare = {slot: _Cut(None, None) for slot in slots}
        return ImageDataset(listed.name, role, slots, bare, preprocessor, tuple(skipped))
    with progress.task(f"Reading the {role.value} images of {listed.name}", len(images)) as task:
        while True:
            slots = _slots(images, samples, rule)
            broken: set[str] = set()
            for image, own in _by_image(slot for slot in slots if slot not in cuts):
                try:
                    fresh = _cut(image, own, rule, preprocessor)
                except DataError as failure:
                    if on_broken == "error":
                        raise
                    broken.add(image.id)
                    skipped.append(f"{image.id}: {failure.message}")
                    continue
                for slot, cut in fresh.items():
                    assert cut.pixels is not None, "fresh cuts have them"
                    room -= cut.pixels.nbytes
                    cuts[slot] = cut if room >= 0 else _Cut(cut.box, None)
                task.advance()
            if not broken:
                break
            # What the broken ones would have given is shared out among the others.
            images = tuple(image for image in images if image.id not in broken)
    if not slots:
        raise DataError(
            f"{listed.name} has no image for {role.value}",
            hint=f"Skipped: {'; '.join(skipped[:5])}" if skipped else None,
        )
    return ImageDataset(listed.name, role, slots, cuts, preprocessor, tuple(skipped))


def _slots(images: Sequence[ImageRef], samples: int | None, rule: CropRule | None) -> list[_Slot]:
    """Whole images while they suffice, else crops: first of each image, second of each, ..."""
    if rule is None or samples is None or samples <= len(images) or not images:
        return [_Slot(image, None) for image in images[:samples]]
    return [_Slot(images[i % len(images)], i // len(images)) for i in range(samples)]


def _by_image(slots: Iterator[_Slot]) -> list[tuple[ImageRef, list[_Slot]]]:
    groups: dict[ImageRef, list[_Slot]] = {}
    for slot in slots:
        groups.setdefault(slot.image, []).append(slot)
    return list(groups.items())


def _cut(
    image: ImageRef, slots: Sequence[_Slot], rule: CropRule | None, preprocessor: Preprocessor
) -> dict[_Slot, _Cut]:
    """Decode ``image`` once and preprocess all of its ``slots``: a box is an image like any other.

    Raises:
        DataError: names the image.
    """
    whole = image.load()
    cuts: dict[_Slot, _Cut] = {}
    for slot in slots:
        box = None
        if slot.crop is not None:
            assert rule is not None, "crops come from a rule"
            box = crop_box(rule, image.sha256, slot.crop, whole.width, whole.height)
        pixels = _pixels(image, whole if box is None else whole.crop(box), preprocessor)
        pixels.setflags(write=False)
        cuts[slot] = _Cut(box, pixels)
    return cuts


def _pixels(image: ImageRef, part: Image, preprocessor: Preprocessor) -> Array:
    """As ``preprocessor.pixels``; an error names the image."""
    try:
        return preprocessor.pixels(part)
    except DataError as failure:
        raise DataError(f"{image.id} {failure.message}", hint=failure.hint) from failure
