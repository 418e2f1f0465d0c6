"""From an image file to RGB8 pixels: where the preprocessing contract starts.

- EXIF orientation is applied. Colour profiles are ignored; of an animation the first frame counts.
- Alpha is dropped, as Pillow's ``convert("RGB")`` does: nothing is composited, a transparent pixel
  keeps the colour stored under it. Palettes are looked up, grey is repeated, CMYK is inverted
  naively.
- 16-bit grey keeps its high byte, as 16-bit colour does in Pillow's own PNG decoder.
- 32-bit integer and float images have no agreed range and are refused.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What counts as an image in a folder."""


def load_image(path: Path) -> Image:
    """Decode the file at ``path`` into a fully loaded image of mode RGB.

    Raises:
        DataError: it is missing, broken or of a kind without an agreed range; names the file.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns of damage it can pass over, and of large sizes long before its limit.
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                return _to_rgb(ImageOps.exif_transpose(opened), path)
    except UnidentifiedImageError as cause:
        raise DataError(f"{path} is not an image that Pillow can read") from cause
    except (
        OSError,
        SyntaxError,  # Pillow's word for a broken PNG
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        ZeroDivisionError,
        struct.error,
        Image.DecompressionBombError,
    ) as cause:
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise DataError(f"{path} cannot be read as an image: {reason}") from cause


def _to_rgb(image: Image, path: Path) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise DataError(
            f"{path} holds {kind}, which have no agreed range as pixels",
            hint="Save it as an 8-bit image, or give the data as .npy arrays.",
        )
    return image.convert("RGB")
