"""Pictures for golden vectors: a user's photos, or small ones drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.data.images import SUFFIXES, load_image
from edgekit.errors import DataError
from edgekit.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
"""In all pictures: golden vectors keep them uncompressed, up to four bytes a pixel."""
_ORIENTATION = 0x0112
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA"})
# Height, width, mode, EXIF orientation: upright and turned, smaller and larger than most inputs.
_DRAWN = (
    (53, 37, "RGB", 1),
    (37, 53, "RGBA", 1),
    (97, 131, "L", 1),
    (131, 97, "RGB", 6),
    (61, 200, "RGB", 8),
    (300, 223, "RGB", 3),
    (224, 224, "RGB", 1),
    (257, 255, "RGBA", 5),
)


@dataclass(frozen=True)
class Picture:
    """``stored`` is uint8 ``[H, W, 1 | 3 | 4]`` as the file holds it: grey not repeated, alpha not
    dropped, EXIF orientation not applied. ``image`` is what ``load_image`` makes of the file."""

    name: str
    stored: Array
    exif_orientation: int
    image: Image


def photos(folder: Path) -> list[Picture]:
    """Every picture in ``folder``, by name.

    Raises:
        DataError: there is none, one cannot be read, or they are more than ``MAX_PIXELS``.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", hint="Give a folder of pictures.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    found, pixels = [], 0
    for file in files:
        found.append(_picture(file))
        pixels += found[-1].image.width * found[-1].image.height
        if pixels > MAX_PIXELS:
            raise DataError(
                f"the pictures in {folder} have more than {MAX_PIXELS // 1_000_000} million pixels "
                f"by {file.name}, and golden vectors keep them all",
                hint="Give fewer or smaller ones: a few dozen tell as much.",
            )
    return found


def drawn(folder: Path) -> list[Picture]:
    """Eight pictures of odd sizes, drawn into ``folder``, the same every time: gradients, edges and
    noise, grey, with alpha, turned."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number, (height, width, mode, orientation) in enumerate(_DRAWN):
        y, x = np.mgrid[:height, :width]
        channels = [x * 255 // width, y * 255 // height, (x // 7 + y // 5) % 2 * 255, x + y]
        values = np.stack(channels, axis=-1) + rng.integers(-40, 41, (height, width, 4))
        pixels = np.clip(values, 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels[..., : len(mode)])
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        image.save(folder / f"drawn_{number}_{width}x{height}_{mode}.png", exif=exif)
    return photos(folder)


def _picture(file: Path) -> Picture:
    from PIL import Image

    image = load_image(file)
    with Image.open(file) as opened:
        turn = opened.getexif().get(_ORIENTATION)
        orientation = turn if isinstance(turn, int) else 1  # of another type it turns nothing
        has_alpha = opened.mode in _ALPHA_MODES or "transparency" in opened.info
        if opened.mode != "L" or has_alpha:
            stored = np.asarray(opened.convert("RGBA" if has_alpha else "RGB"))
        else:
            stored = np.asarray(opened)[..., None]
    if opened.mode.startswith("I;16"):  # which only load_image knows how to take
        stored, orientation = np.asarray(image), 1
    return Picture(file.name, stored, orientation, image)
