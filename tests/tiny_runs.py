"""Whole runs in under a second: the tiny network of tflite_models, data to match, a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests import tflite_models as models

RECIPE: dict[str, Any] = {
    "schema": 1,
    "name": "tiny",
    "model": {
        "framework": "tflite",
        "file": "file:net.tflite",
        "inputs": [{"name": "x", "shape": [1, 4, 4, 3], "layout": "NHWC"}],
        "outputs": ["scores"],
    },
    "preprocess": {"kind": "arrays"},
    "calibration": {"dataset": "data.npz", "samples": 40},
    "quantize": {"method": "litert_static"},
    "evaluate": {"dataset": "data.npz", "samples": 25},
    "gate": {"agreement_min": 0.9},
    "latency": {"rounds": 2, "runs_per_round": 2},
}
IMAGES: dict[str, Any] = {
    "preprocess": {
        "kind": "image",
        "resize": {"shorter_side": 5},
        "crop": {"width": 4, "height": 4},
        "divisor": 127.5,
        "mean": 1,
    },
    "calibration": {"dataset": "photos"},
    "evaluate": {"dataset": "photos"},
}


def write_model(folder: Path, content: bytes | None = None) -> Path:
    """``net.tflite``, by default the float network."""
    file = folder / "net.tflite"
    file.write_bytes(models.float_model() if content is None else content)
    return file


def write_arrays(folder: Path, rows: int = 100, *, labelled: bool = True) -> Path:
    """``data.npz``: inputs in [-1, 1], labelled as the float network itself would."""
    x = np.random.default_rng(0).uniform(-1, 1, (rows, *models.INPUT_SHAPE[1:])).astype(np.float32)
    arrays = {"x": x}
    if labelled:
        arrays["labels"] = models.reference(x, models.weights()).argmax(axis=1)
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return folder / "data.npz"


def write_photos(folder: Path, count: int = 40, classes: int = 0) -> Path:
    """``photos/``: PNGs of noise, in ``classes`` folders where there are any."""
    photos = folder / "photos"
    rng = np.random.default_rng(1)
    for number in range(count):
        home = photos / str(number % classes) if classes else photos
        home.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (8, 7, 3), np.uint8)
        Image.fromarray(noise).save(home / f"{number:03}.png")
    return photos


def write_recipe(folder: Path, *changes: dict[str, Any]) -> Path:
    """``recipe.yaml`` with ``changes`` laid over ``RECIPE`` key by key; a key of ``None`` goes."""
    merged = RECIPE
    for change in changes:
        merged = _merged(merged, change)
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(merged), encoding="utf-8")
    return file


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        inner = merged.get(key)
        # Preprocessing is taken whole: one kind's keys mean nothing to the other.
        if isinstance(value, dict) and isinstance(inner, dict) and key != "preprocess":
            value = _merged(inner, value)
        merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}
