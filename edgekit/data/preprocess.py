"""The preprocessing contract: from RGB8 pixels to the model's input, in one place.

Resizing is Pillow's, antialiased, in its 8-bit fixed-point arithmetic with two passes (across
first, then down); sizes and crop offsets follow torchvision. ``steps`` states the contract for
those who implement it elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import DataError, UsageError
from edgekit.recipe.schema import InputSpec, PreprocessSpec, ResizeSpec
from edgekit.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image


class Preprocessor:
    """Carries out ``spec`` for one image input of a model.

    Raises:
        UsageError: ``spec`` contradicts itself, or cannot give what the model takes; the message
            has both shapes.
    """

    def __init__(self, spec: PreprocessSpec, input_spec: InputSpec):
        self.spec = spec
        self.input = input_spec
        self.channels = 1 if spec.colour == "GRAY" else 3
        _check_numbers(spec, self.channels)
        self.shape = _channels_last(input_spec)
        """Height, width and channels of the model's input."""
        expected = _static_size(spec)
        if expected is not None and (*expected, self.channels) != self.shape:
            raise UsageError(
                f"preprocessing gives [1, {expected[0]}, {expected[1]}, {self.channels}] "
                f"(N, H, W, C) but input '{input_spec.name}' takes {_shape(1, *self.shape)}",
                hint="Make preprocess.crop (or resize) and colour fit the model's input.",
            )
        if self.channels != self.shape[2]:
            raise UsageError(
                f"preprocess.colour {spec.colour} gives {self.channels} channels but input "
                f"'{input_spec.name}' takes {_shape(1, *self.shape)} (N, H, W, C)"
            )
        self._dtype = np.dtype(input_spec.dtype)
        plain = spec.divisor == 1 and set(spec.mean) == {0.0} and set(spec.std) == {1.0}
        if self._dtype.kind in "iu" and not plain:
            raise UsageError(
                f"input '{input_spec.name}' is {input_spec.dtype}: it takes pixels as they are, "
                "but preprocess has a divisor, mean or std",
                hint="Leave them out; an integer input has its normalisation inside the model.",
            )
        self._divisor = np.float32(spec.divisor)
        self._mean = np.asarray(spec.mean, np.float32)
        self._std = np.asarray(spec.std, np.float32)

    def pixels(self, image: Image) -> Array:
        """uint8 ``[H, W, C]`` after colour, resize and crop. ``image`` has mode RGB.

        Raises:
            DataError: the image is too small for the crop, or its size is not the model's.
        """
        if self.spec.colour == "GRAY":
            image = image.convert("L")
        image = _resize(image, self.spec)
        image = _centre_crop(image, self.spec)
        array = np.asarray(image)
        if array.ndim == 2:
            array = array[:, :, None]
        if self.spec.colour == "BGR":
            array = array[:, :, ::-1]
        if array.shape != self.shape:
            raise DataError(
                f"gives {_shape(*array.shape)} (H, W, C) but input '{self.input.name}' takes "
                f"{_shape(*self.shape)}",
                hint="Add preprocess.resize with width and height, or preprocess.crop.",
            )
        return np.ascontiguousarray(array)

    def tensor(self, pixels: Array) -> Array:
        """``[1, H, W, C]`` of the input's dtype; float32 is ``(pixel / divisor - mean) / std``.

        Every operation rounds to float32.
        """
        if self._dtype.kind in "iu":
            return pixels[None].astype(self._dtype)
        values: Array = pixels[None].astype(np.float32)
        values /= self._divisor
        values -= self._mean
        values /= self._std
        return values

    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value that ``tensor`` can hold, over all channels."""
        ends = np.asarray([0, 255], np.uint8)[:, None, None]
        values = self.tensor(np.broadcast_to(ends, (2, 1, self.channels)))
        return float(values.min()), float(values.max())

    def steps(self) -> list[dict[str, Any]]:
        """The contract in order, in plain values, for ``contract.json``."""
        spec = self.spec
        steps: list[dict[str, Any]] = [
            {"op": "decode", "to": "RGB8", "exif_orientation": "applied", "alpha": "dropped"}
        ]
        if spec.colour == "GRAY":
            luma = "(19595 * r + 38470 * g + 7471 * b + 32768) >> 16"
            steps.append({"op": "grey", "luma": luma})
        if spec.resize is not None:
            steps.append({"op": "resize", **_resize_step(spec)})
        if spec.crop is not None:
            steps.append(
                {
                    "op": "centre_crop",
                    "height": spec.crop.height,
                    "width": spec.crop.width,
                    "top": "round_half_even((image_height - height) / 2)",
                    "left": "round_half_even((image_width - width) / 2)",
                }
            )
        if spec.colour == "BGR":
            steps.append({"op": "reverse_channels", "to": "BGR"})
        if self._dtype.kind == "f":
            steps.append(
                {
                    "op": "normalise",
                    "formula": "(pixel / divisor - mean[c]) / std[c]",
                    "arithmetic": "float32, rounded after every operation",
                    "divisor": spec.divisor,
                    "mean": np.broadcast_to(spec.mean, self.channels).tolist(),
                    "std": np.broadcast_to(spec.std, self.channels).tolist(),
                }
            )
        steps.append(
            {"op": "layout", "to": "NHWC", "shape": [1, *self.shape], "dtype": self.input.dtype}
        )
        return steps


def stated_range(spec: PreprocessSpec) -> tuple[float, float] | None:
    """What values the contract's numbers produce from pixels; ``None`` if it states none.

    For ``kind: arrays``: nothing is computed from these numbers, but data that was prepared by
    them must lie within this range.
    """
    if spec.divisor == 1 and set(spec.mean) == {0.0} and set(spec.std) == {1.0}:
        return None
    mean, std = np.asarray(spec.mean, np.float64), np.asarray(spec.std, np.float64)
    ends = [(value / spec.divisor - mean) / std for value in (0.0, 255.0)]
    return float(min(end.min() for end in ends)), float(max(end.max() for end in ends))


def shorter_side_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height with the shorter side at ``size``; the longer one is truncated."""
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def centre_crop_offset(length: int, crop: int) -> int:
    """Pixels left out before a centre crop; a half rounds to the even number."""
    return round((length - crop) / 2)


def _resize(image: Image, spec: PreprocessSpec) -> Image:
    from PIL.Image import Resampling

    resize = spec.resize
    if resize is None:
        return image
    if resize.shorter_side is not None:
        size = shorter_side_size(image.width, image.height, resize.shorter_side)
    else:
        size = _fixed_size(resize)
    kind = {"bilinear": Resampling.BILINEAR, "bicubic": Resampling.BICUBIC}[resize.filter]
    # Pass by pass: Pillow 13 goes down first where that is cheaper, older ones never do, and the
    # rounding between the passes makes the order visible.
    return image.resize((size[0], image.height), kind).resize(size, kind)


def _centre_crop(image: Image, spec: PreprocessSpec) -> Image:
    crop = spec.crop
    if crop is None:
        return image
    if image.width < crop.width or image.height < crop.height:
        raise DataError(
            f"is {image.width}x{image.height} before the {crop.width}x{crop.height} crop",
            hint="Add preprocess.resize with shorter_side, or a larger one.",
        )
    left = centre_crop_offset(image.width, crop.width)
    top = centre_crop_offset(image.height, crop.height)
    return image.crop((left, top, left + crop.width, top + crop.height))


def _resize_step(spec: PreprocessSpec) -> dict[str, Any]:
    resize = spec.resize
    assert resize is not None
    how = {
        "filter": resize.filter,
        "antialias": True,
        "arithmetic": "Pillow 8-bit: weights in 22-bit fixed point, horizontal pass then vertical, "
        "each rounded and clipped to 0..255",
    }
    if resize.shorter_side is None:
        return {"height": resize.height, "width": resize.width, **how}
    longer = "truncate(shorter_side * longer / shorter) in float64"
    return {"shorter_side": resize.shorter_side, "longer_side": longer, **how}


def _check_numbers(spec: PreprocessSpec, channels: int) -> None:
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) not in (1, channels):
            raise UsageError(
                f"preprocess.{name} has {len(values)} values; {spec.colour} takes 1 or {channels}"
            )
    numbers = (spec.divisor, *spec.mean, *spec.std)
    if not all(map(math.isfinite, numbers)) or spec.divisor == 0 or 0 in spec.std:
        raise UsageError("preprocess: divisor and std must not be 0, and all numbers finite")
    resize = spec.resize
    if resize is not None:
        sized = (resize.width is not None, resize.height is not None)
        if any(sized) == (resize.shorter_side is not None) or any(sized) != all(sized):
            raise UsageError(
                "preprocess.resize takes either shorter_side, or both width and height"
            )


def _fixed_size(resize: ResizeSpec) -> tuple[int, int]:
    """Width and height of a resize that has no ``shorter_side``."""
    assert resize.width is not None, "checked on construction"
    assert resize.height is not None, "checked on construction"
    return resize.width, resize.height


def _static_size(spec: PreprocessSpec) -> tuple[int, int] | None:
    """Height and width that every image comes to, where ``spec`` alone decides it."""
    resize, crop = spec.resize, spec.crop
    if crop is None:
        if resize is None or resize.shorter_side is not None:
            return None
        width, height = _fixed_size(resize)
        return height, width
    if resize is None:
        return crop.height, crop.width
    if resize.shorter_side is not None:
        # The other side may be longer, so only the crop's smaller one is certain not to fit.
        width = height = resize.shorter_side
        too_large = min(crop.width, crop.height) > resize.shorter_side
    else:
        width, height = _fixed_size(resize)
        too_large = crop.width > width or crop.height > height
    if too_large:
        raise UsageError(
            f"preprocess.crop {crop.width}x{crop.height} is larger than what "
            f"preprocess.resize leaves ({width}x{height})"
        )
    return crop.height, crop.width


def _channels_last(spec: InputSpec) -> tuple[int, int, int]:
    """Height, width, channels of an image input, whatever its layout."""
    if len(spec.shape) != 4 or spec.shape[0] != 1:
        raise UsageError(
            f"input '{spec.name}' takes {_shape(*spec.shape)}; an image input has 4 dimensions "
            "and a batch of 1",
            hint="For other inputs give arrays: preprocess.kind: arrays",
        )
    _, a, b, c = spec.shape
    return (b, c, a) if spec.layout == "NCHW" else (a, b, c)


def _shape(*sizes: int) -> str:
    return f"[{', '.join(map(str, sizes))}]"
