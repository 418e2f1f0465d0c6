"""Small images and specs that the data tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.recipe.schema import CropSpec, InputSpec, PreprocessSpec, ResizeSpec
from tests.text_files import write_tokenizer

MakeImage = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write a PNG of noise that ``seed`` decides; returns its path."""

    def make(name: str, seed: int, size: tuple[int, int] = (40, 30)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(path)
        return path

    return make


@pytest.fixture
def spec() -> PreprocessSpec:
    return PreprocessSpec(
        resize=ResizeSpec(shorter_side=18),
        crop=CropSpec(width=16, height=16),
        divisor=255.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


@pytest.fixture
def image_input() -> InputSpec:
    return InputSpec("input", (1, 3, 16, 16), layout="NCHW")


@pytest.fixture
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")


@pytest.fixture
def text_inputs() -> tuple[InputSpec, ...]:
    return (
        InputSpec("input_ids", (1, 6), "int64"),
        InputSpec("attention_mask", (1, 6), "int32"),
    )
