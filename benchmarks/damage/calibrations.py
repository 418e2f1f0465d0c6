"""INT8 files made anew from the recipe's float graph, by the method of the run: calibrated on other
samples of the calibration role, on too few, or on what the app never feeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgekit.cache import Cache
from edgekit.errors import UsageError
from edgekit.methods import load_method
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.pipeline import Made
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import Recipe
from edgekit.types import Array, Role, Sample
from edgekit.zoo.train_fashion_keras import PREPROCESS

METHOD = "litert_static"
Random = np.random.Generator
Pixels = Callable[[Array], Array]
"""What becomes of pictures, float32 in the model's normalisation."""


@dataclass(frozen=True)
class Calibration:
    """``severities`` and ``told`` as of ``files.Damage``; ``take`` gives, by a severity and
    the usual number of samples, how many there are and what becomes of them."""

    take: Callable[[float, int], tuple[int, Pixels]]
    severities: tuple[float, ...]
    told: str


@dataclass(frozen=True)
class Chosen:
    """A ``Dataset`` of these samples."""

    samples: tuple[Sample, ...]
    name: str
    fingerprint: str
    role: Role = Role.CALIBRATION
    labelled: bool = False
    targeted: bool = False
    skipped: tuple[str, ...] = ()
    repeated: int = 0
    images: Mapping[str, str] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def sample(self, index: int) -> Sample:
        """See ``Dataset.sample``."""
        return self.samples[index]

    def pixels(self, index: int) -> Array:
        """See ``Dataset.pixels``."""
        raise UsageError(f"{self.name} has no pixels")


def as_they_are(pictures: Array) -> Array:
    """The right normalisation."""
    return pictures


def too_few(count: float, usual: int) -> tuple[int, Pixels]:
    """So many samples."""
    return int(count), as_they_are


def darker(by: float, usual: int) -> tuple[int, Pixels]:
    """Pictures that are darker by ``by``."""
    return usual, lambda pictures: _normalised(_pixels(pictures) * (1 - by))


def unnormalised(most: float, usual: int) -> tuple[int, Pixels]:
    """Pixels from 0 to ``most`` as they are."""
    return usual, lambda pictures: _pixels(pictures) * np.float32(most)


CALIBRATIONS = {
    "calibrated on few": Calibration(too_few, (20, 5, 1), "{:g} of 200"),
    "calibrated on dark pictures": Calibration(
        darker, (0.5, 0.8, 0.95), "{:.0%} of the light missing"
    ),
    "calibrated unnormalised": Calibration(unnormalised, (1, 255), "pixels 0 to {:g}"),
}


def recalibrated(recipe: Recipe, made: Made, samples: int, pixels: Pixels, seed: int) -> bytes:
    """The file that comes of ``samples`` of the calibration role, chosen by ``seed``."""
    pool = made.data.open_training(recipe.calibration.samples * 100)
    chosen = np.random.default_rng(seed).choice(len(pool), samples, replace=False)
    taken = []
    for index in sorted(chosen):
        sample = pool.sample(int(index))
        feeds = {name: pixels(array) for name, array in sample.feeds.items()}
        taken.append(replace(sample, feeds=feeds))
    with TemporaryDirectory() as home:
        job = QuantizeJob(
            model=made.quantized.baseline,
            goal=Goal(primary=made.source.outputs[0], classification=True),
            options=replace(recipe.quantize, method=METHOD),
            calibration=Chosen(tuple(taken), recipe.calibration.dataset, f"seed {seed}"),
            open_dev=made.data.open_dev,
            open_training=made.data.open_training,
            folder=Path(home),
            cache=Cache(enabled=False),
            progress=SilentProgress(),
            threads=1,
        )
        return load_method(METHOD).quantize(job).artefact.path.read_bytes()


def _pixels(pictures: Array) -> Array:
    return np.asarray(pictures * PREPROCESS.std[0] + PREPROCESS.mean[0])


def _normalised(pixels: Array) -> Array:
    return np.asarray((pixels - PREPROCESS.mean[0]) / PREPROCESS.std[0])
