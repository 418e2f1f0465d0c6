"""The preprocessing contract against hand computations and an independent resampler."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.preprocess import Preprocessor, centre_crop_offset, shorter_side_size
from edgekit.errors import DataError, UsageError
from edgekit.recipe.schema import CropSpec, InputSpec, PreprocessSpec, ResizeSpec

U8 = npt.NDArray[np.uint8]


def image_of(array: U8) -> Image.Image:
    return Image.fromarray(array)


def noise(height: int, width: int, seed: int = 0) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def nhwc(height: int, width: int, channels: int = 3, dtype: str = "float32") -> InputSpec:
    return InputSpec("x", (1, height, width, channels), dtype, "NHWC")  # type: ignore[arg-type]


def _weight(kind: str, x: float) -> float:
    x = abs(x)
    if kind == "bilinear":
        return max(0.0, 1.0 - x)
    a = -0.5
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _resample_rows(pixels: U8, size: int, kind: str) -> U8:
    """One pass along the first axis, in the arithmetic that the contract describes."""
    length = pixels.shape[0]
    scale = length / size
    stretch = max(scale, 1.0)
    support = {"bilinear": 1.0, "bicubic": 2.0}[kind] * stretch
    out = np.empty((size, *pixels.shape[1:]), np.uint8)
    for place in range(size):
        centre = (place + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(length, int(centre + support + 0.5))
        weights = [_weight(kind, (i - centre + 0.5) / stretch) for i in range(first, last)]
        total = sum(weights)
        fixed = []
        for weight in weights:
            scaled = weight / total * (1 << 22)
            fixed.append(int(scaled - 0.5) if scaled < 0 else int(scaled + 0.5))
        rows = pixels[first:last].astype(np.int64)
        summed = (rows * np.array(fixed).reshape(-1, *[1] * (rows.ndim - 1))).sum(0) + (1 << 21)
        out[place] = np.clip(summed >> 22, 0, 255)
    return out


def resample(pixels: U8, width: int, height: int, kind: str) -> U8:
    across = pixels
    if width != pixels.shape[1]:
        across = _resample_rows(pixels.swapaxes(0, 1), width, kind).swapaxes(0, 1)
    return across if height == pixels.shape[0] else _resample_rows(across, height, kind)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(3, 40),
    st.integers(3, 40),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from(["bilinear", "bicubic"]),
)
def test_resize_is_byte_for_byte_the_stated_arithmetic(
    height: int, width: int, new_height: int, new_width: int, kind: str
) -> None:
    pixels = noise(height, width, seed=height * 100 + width)
    spec = PreprocessSpec(resize=ResizeSpec(width=new_width, height=new_height, filter=kind))  # type: ignore[arg-type]
    ours = Preprocessor(spec, nhwc(new_height, new_width)).pixels(image_of(pixels))
    assert np.array_equal(ours, resample(pixels, new_width, new_height, kind))


def test_pass_order_does_not_depend_on_the_version_of_pillow() -> None:
    tall = noise(51, 48)  # Pillow 13 on its own goes down first here
    spec = PreprocessSpec(resize=ResizeSpec(width=46, height=21))
    ours = Preprocessor(spec, nhwc(21, 46)).pixels(image_of(tall))
    down_first = _resample_rows(_resample_rows(tall, 21, "bilinear").swapaxes(0, 1), 46, "bilinear")
    assert np.array_equal(ours, resample(tall, 46, 21, "bilinear"))
    assert not np.array_equal(ours, down_first.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        (640, 427, 256, (383, 256)),  # 256 * 640 / 427 = 383.7: truncated, not rounded
        (427, 640, 256, (256, 383)),
        (512, 512, 256, (256, 256)),
        (1024, 683, 256, (383, 256)),
        (300, 451, 18, (18, 27)),
    ],
)
def test_shorter_side(width: int, height: int, size: int, expected: tuple[int, int]) -> None:
    assert shorter_side_size(width, height, size) == expected


@pytest.mark.parametrize(
    ("length", "crop", "expected"),
    [(256, 224, 16), (383, 224, 80), (381, 224, 78), (225, 224, 0), (227, 224, 2), (224, 224, 0)],
)
def test_crop_offset_rounds_half_to_even(length: int, crop: int, expected: int) -> None:
    assert centre_crop_offset(length, crop) == expected


def test_whole_contract_against_a_hand_computation(
    spec: PreprocessSpec, image_input: InputSpec
) -> None:
    source = noise(30, 41)
    preprocessor = Preprocessor(spec, image_input)
    pixels = preprocessor.pixels(image_of(source))
    resized = resample(source, int(18 * 41 / 30), 18, "bilinear")  # 24 x 18
    assert np.array_equal(pixels, resized[1:17, 4:20])
    tensor = preprocessor.tensor(pixels)
    assert tensor.dtype == np.float32
    assert tensor.shape == (1, 16, 16, 3)
    value = np.float32(
        np.float32(np.float32(pixels[5, 6, 1]) / np.float32(255)) - np.float32(0.456)
    )
    assert tensor[0, 5, 6, 1] == value / np.float32(0.224)


def test_colour_orders() -> None:
    source = np.zeros((2, 2, 3), np.uint8)
    source[..., 0], source[..., 1], source[..., 2] = 10, 20, 30
    bgr = Preprocessor(PreprocessSpec(colour="BGR"), nhwc(2, 2)).pixels(image_of(source))
    assert bgr[0, 0].tolist() == [30, 20, 10]
    grey = Preprocessor(PreprocessSpec(colour="GRAY"), nhwc(2, 2, 1)).pixels(image_of(source))
    assert grey.shape == (2, 2, 1)
    assert grey[0, 0, 0] == (19595 * 10 + 38470 * 20 + 7471 * 30 + 32768) >> 16


def test_integer_inputs_take_pixels_as_they_are() -> None:
    source = noise(4, 4)
    for dtype in ("uint8", "int32"):
        preprocessor = Preprocessor(PreprocessSpec(), nhwc(4, 4, dtype=dtype))
        tensor = preprocessor.tensor(preprocessor.pixels(image_of(source)))
        assert tensor.dtype == dtype
        assert np.array_equal(tensor[0], source)
        assert preprocessor.value_range() == (0.0, 255.0)
    with pytest.raises(UsageError, match="uint8"):
        Preprocessor(PreprocessSpec(divisor=255.0), nhwc(4, 4, dtype="uint8"))


def test_value_range_is_what_tensors_reach(spec: PreprocessSpec, image_input: InputSpec) -> None:
    preprocessor = Preprocessor(spec, image_input)
    low, high = preprocessor.value_range()
    assert low == pytest.approx((0 - 0.485) / 0.229)
    assert high == pytest.approx((1 - 0.406) / 0.225)
    black = preprocessor.tensor(np.zeros((16, 16, 3), np.uint8))
    white = preprocessor.tensor(np.full((16, 16, 3), 255, np.uint8))
    assert (float(black.min()), float(white.max())) == (low, high)


def test_shape_mismatch_gives_both_shapes(spec: PreprocessSpec) -> None:
    with pytest.raises(UsageError) as caught:
        Preprocessor(spec, InputSpec("pixels", (1, 3, 224, 192), layout="NCHW"))
    assert "[1, 16, 16, 3]" in caught.value.message
    assert "[1, 224, 192, 3]" in caught.value.message
    assert "'pixels'" in caught.value.message


@pytest.mark.parametrize(
    ("change", "input_spec", "why"),
    [
        ({"mean": (1.0, 2.0)}, nhwc(16, 16), "mean has 2 values"),
        ({"std": (0.0,)}, nhwc(16, 16), "must not be 0"),
        ({"divisor": math.nan}, nhwc(16, 16), "finite"),
        ({"colour": "GRAY", "mean": (0.0,), "std": (1.0,)}, nhwc(16, 16), r"\[1, 16, 16, 1\]"),
        ({"resize": ResizeSpec(width=20)}, nhwc(16, 16), "both width and height"),
        ({"resize": ResizeSpec(shorter_side=20, width=20, height=20)}, nhwc(16, 16), "either"),
        ({"resize": ResizeSpec(shorter_side=15)}, nhwc(16, 16), "larger than"),
        ({"resize": ResizeSpec(width=15, height=20)}, nhwc(16, 16), "larger than"),
        ({}, InputSpec("x", (2, 16, 16, 3), layout="NHWC"), "batch of 1"),
        ({}, InputSpec("x", (1, 10)), "4 dimensions"),
    ],
)
def test_contradictions_are_refused(
    spec: PreprocessSpec, change: dict[str, object], input_spec: InputSpec, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        Preprocessor(replace(spec, **change), input_spec)  # type: ignore[arg-type]


def test_images_that_do_not_come_out_right_are_refused() -> None:
    plain = Preprocessor(PreprocessSpec(), nhwc(4, 4))
    with pytest.raises(DataError, match=r"\[5, 4, 3\].*\[4, 4, 3\]"):
        plain.pixels(image_of(noise(5, 4)))
    cropping = Preprocessor(PreprocessSpec(crop=CropSpec(4, 4)), nhwc(4, 4))
    with pytest.raises(DataError, match="3x4 before the 4x4 crop"):
        cropping.pixels(image_of(noise(4, 3)))


def test_steps_carry_all_that_another_language_needs(
    spec: PreprocessSpec, image_input: InputSpec
) -> None:
    steps = json.loads(json.dumps(Preprocessor(spec, image_input).steps()))
    assert [step["op"] for step in steps] == [
        "decode",
        "resize",
        "centre_crop",
        "normalise",
        "layout",
    ]
    assert steps[1]["shorter_side"] == 18
    assert steps[1]["filter"] == "bilinear"
    assert (steps[2]["height"], steps[2]["width"]) == (16, 16)
    assert steps[3]["mean"] == [0.485, 0.456, 0.406]
    assert steps[4]["shape"] == [1, 16, 16, 3]
