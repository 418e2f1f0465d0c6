"""Pictures taken too dark, the same ones on every machine.

A picture that is underexposed by one stop got half the light. How dark one is depends on the seed
and on its content alone, so samples, roles and their order leave it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from edgekit.types import Array


@dataclass(frozen=True)
class ExposureRule:
    """Every picture is darkened by 0 to ``stops`` stops, all equally likely."""

    stops: float
    seed: int


def stops_below(rule: ExposureRule, sha256: str) -> float:
    """By how many stops the picture with this content is darkened."""
    return rule.stops * Random(f"{rule.seed}:{sha256}").random()


def darken(pixels: Array, stops: float) -> Array:
    """uint8 ``pixels`` times ``2 ** -stops``, to the nearest, as a camera would store them."""
    dark: Array = np.rint(pixels * 2.0**-stops).astype(np.uint8)
    return dark
