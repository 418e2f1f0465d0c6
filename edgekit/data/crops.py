"""Random-resized crops that are the same on every machine.

A crop depends on the seed, the image's content and its own number: adding or losing an image
leaves the crops of all others as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class CropRule:
    """Share of the image's area (``scale``), width over height (``ratio``), both as intervals.

    ``count`` is how many crops there are when nobody says; ``None``: the whole images.
    """

    seed: int
    scale: tuple[float, float] = (0.35, 1.0)
    ratio: tuple[float, float] = (0.75, 1.3333)
    count: int | None = None


def crop_box(rule: CropRule, sha256: str, number: int, width: int, height: int) -> Box:
    """Crop ``number`` of the image with this content and size.

    As torchvision's RandomResizedCrop: ten attempts, then the largest centred box whose ratio is
    within bounds.
    """
    random = Random(f"{rule.seed}:{sha256}:{number}")
    low, high = (math.log(end) for end in rule.ratio)
    for _ in range(10):
        area = width * height * _between(*rule.scale, random)
        ratio = math.exp(_between(low, high, random))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        left, top = random.random(), random.random()
        if 0 < wide <= width and 0 < tall <= height:
            x, y = int(left * (width - wide + 1)), int(top * (height - tall + 1))
            return x, y, x + wide, y + tall
    ratio = min(max(width / height, rule.ratio[0]), rule.ratio[1])
    wide = max(1, min(width, round(height * ratio)))
    tall = max(1, min(height, round(width / ratio)))
    x, y = (width - wide) // 2, (height - tall) // 2
    return x, y, x + wide, y + tall


def _between(low: float, high: float, random: Random) -> float:
    return low + (high - low) * random.random()
