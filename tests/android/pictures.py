"""Pictures as phones and the web have them: odd sizes, grey, alpha, palettes, turned by EXIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

# Name, width, height, mode, EXIF orientation, file type.
KINDS = (
    *((f"turned_{turn}", 61 + 4 * turn, 83 - 3 * turn, "RGB", turn, "png") for turn in range(1, 9)),
    ("photo", 401, 300, "RGB", 1, "jpg"),
    ("photo_turned", 333, 251, "RGB", 6, "jpg"),
    ("photo_narrow", 97, 640, "RGB", 1, "jpg"),
    ("photo_wide", 701, 113, "RGB", 1, "jpg"),
    ("exact", 256, 256, "RGB", 1, "png"),
    ("cropped_only", 256, 341, "RGB", 1, "png"),
    ("near", 257, 255, "RGB", 1, "png"),
    ("tiny", 3, 5, "RGB", 1, "png"),
    ("one_pixel", 1, 1, "RGB", 1, "png"),
    ("grey", 211, 157, "L", 1, "png"),
    ("grey_turned", 157, 211, "L", 8, "jpg"),
    ("grey_alpha", 119, 87, "LA", 1, "png"),
    ("alpha", 173, 131, "RGBA", 1, "png"),
    ("alpha_turned", 99, 177, "RGBA", 5, "png"),
    ("palette", 143, 91, "P", 1, "png"),
    ("palette_transparent", 91, 143, "P+", 1, "png"),
    ("bits_16", 67, 71, "I;16", 1, "png"),
    ("cmyk", 127, 83, "CMYK", 1, "jpg"),
)


def write_pictures(folder: Path) -> None:
    """All of ``KINDS`` into ``folder``: gradients, edges and noise, the same every time."""
    folder.mkdir()
    for number, (name, width, height, mode, turn, kind) in enumerate(KINDS):
        image = _drawing(width, height, number)
        exif = Image.Exif()
        exif[0x0112] = turn
        _as_mode(image, mode).save(folder / f"{name}.{kind}", exif=exif)


def _drawing(width: int, height: int, seed: int) -> Image.Image:
    """RGBA."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    edges = (x // 9 + y // 6) % 2 * 255
    rings = 127 + 127 * np.sin(np.hypot(x - width / 3, y - height / 2) / 4)
    values = np.stack([x * 255 / width, edges, rings, 255 - y * 255 / height], axis=-1)
    values += rng.integers(-60, 61, (height, width, 4))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        return Image.fromarray(grey * 257 // 2)
    if mode == "P+":
        paletted = image.convert("RGB").quantize(32)
        paletted.info["transparency"] = 3
        return paletted
    if mode == "P":
        return image.convert("RGB").quantize(64)
    if mode == "CMYK":
        return image.convert("RGB").convert("CMYK")
    return image.convert(mode)
