"""What stands behind the figures: the samples whose class changed, the timed runs, the layers.

Bounded, whatever the size of the data: ``FLIPS`` samples, ``PAIRS`` pairs of classes, ``TIMES``
times of each model.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.data import Dataset
from edgekit.errors import UsageError
from edgekit.measure.latency import PairTimes
from edgekit.measure.layers import LayerErrors
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array

FLIPS = 24
PAIRS = 20
TIMES = 1000
PICTURE_PX = 96
"""The longer side of a picture at most."""
_LOSSLESS_PX = 48
"""Up to this a PNG is smaller than a JPEG, and a reader wants to see each pixel."""
_SUM_OF_PROBABILITIES = 0.03
"""How far from 1 the sum of INT8 probabilities may lie through rounding."""


@dataclass(frozen=True)
class Flip:
    """A sample that got another class. A ``*_share`` is that model's probability of its own class:
    the output itself where it holds probabilities, else its softmax. ``picture`` is a data URI,
    ``None`` where the data are no pictures."""

    id: str
    label: int | None
    float_class: int
    float_share: float
    quantized_class: int
    quantized_share: float
    picture: str | None


@dataclass(frozen=True)
class ClassPair:
    """So many samples went from one class to the other."""

    float_class: int
    quantized_class: int
    count: int


@dataclass(frozen=True)
class Changes:
    """The samples of one dataset whose class changed: ``changed`` of ``n``.

    ``lost`` were right before and are wrong now, ``won`` the other way round; both ``None`` without
    labels. ``pairs`` are the most frequent ones, ``flips`` the lost ones first, those the float
    model was surest of before others. ``softmax`` says how shares were made.
    """

    use: str
    n: int
    changed: int
    lost: int | None
    won: int | None
    softmax: bool
    pairs: tuple[ClassPair, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Evidence:
    """Of one run. ``changes`` is empty outside classification, ``times`` ``None`` where nothing was
    timed, ``layers`` ``None`` where there is no pair of ``.tflite`` models, or they cannot be
    compared: ``layers_why`` says why not. ``layers_role`` is the role of the samples."""

    changes: tuple[Changes, ...] = ()
    times: PairTimes | None = None
    layers: LayerErrors | None = None
    layers_role: str | None = None
    layers_why: str | None = None


@dataclass(frozen=True)
class Answered:
    """Both models' answers to one dataset; ``use`` is its name in ``RunData``."""

    use: str
    dataset: Dataset
    float_model: Predictions
    quantized: Predictions


def class_changes(answered: Sequence[Answered], primary: str, *, bgr: bool) -> tuple[Changes, ...]:
    """Who changed class, dataset by dataset; a sample is shown once. ``bgr`` is the order of the
    datasets' pixels."""
    found: list[Changes] = []
    shown: set[str] = set()
    for each in answered:
        changes = _changes_of(each, primary, shown, FLIPS - len(shown), bgr)
        shown |= {flip.id for flip in changes.flips}
        found.append(changes)
    return tuple(found)


def _changes_of(each: Answered, primary: str, shown: set[str], room: int, bgr: bool) -> Changes:
    ids, labels = each.float_model.ids, each.float_model.labels
    before = each.float_model.outputs[primary].reshape(len(ids), -1)
    after = each.quantized.outputs[primary].reshape(len(ids), -1)
    float_class, quantized_class = before.argmax(axis=1), after.argmax(axis=1)
    changed = np.flatnonzero(float_class != quantized_class)
    softmax = not _are_probabilities(before[:TIMES])
    float_share = _top_share(before[changed], softmax)
    quantized_share = _top_share(after[changed], softmax)
    lost = won = None
    rank = np.zeros(len(changed), int)
    if labels is not None:
        was_right = float_class[changed] == labels[changed]
        is_right = quantized_class[changed] == labels[changed]
        lost, won = int(was_right.sum()), int(is_right.sum())
        rank = np.where(was_right, 0, np.where(is_right, 2, 1))
    order = np.lexsort((-float_share, rank)).tolist()
    # Where samples could not be read, places among the answers are not those in the dataset.
    pictured = len(ids) == len(each.dataset)
    unseen = [place for place in order if ids[changed[place]] not in shown]
    pairs = Counter(
        zip(float_class[changed].tolist(), quantized_class[changed].tolist(), strict=True)
    )
    return Changes(
        use=each.use,
        n=len(ids),
        changed=len(changed),
        lost=lost,
        won=won,
        softmax=softmax,
        pairs=tuple(ClassPair(*pair, count) for pair, count in pairs.most_common(PAIRS)),
        flips=tuple(
            Flip(
                id=ids[changed[place]],
                label=None if labels is None else int(labels[changed[place]]),
                float_class=int(float_class[changed[place]]),
                float_share=float(float_share[place]),
                quantized_class=int(quantized_class[changed[place]]),
                quantized_share=float(quantized_share[place]),
                picture=(picture(each.dataset, int(changed[place]), bgr=bgr) if pictured else None),
            )
            for place in unseen[:room]
        ),
    )


def _are_probabilities(answers: Array) -> bool:
    sums = answers.sum(axis=1, dtype=np.float64)
    return bool(answers.min() >= 0 and np.abs(sums - 1).max() <= _SUM_OF_PROBABILITIES)


def _top_share(answers: Array, softmax: bool) -> Array:
    """float64 [N]: each row's largest value as a probability."""
    if not softmax:
        return np.asarray(answers.max(axis=1, initial=0.0).clip(0, 1), np.float64)
    if not len(answers):
        return np.zeros(0)
    above = answers.astype(np.float64) - answers.max(axis=1, keepdims=True)
    return np.asarray(1 / np.exp(above).sum(axis=1))


def picture(dataset: Dataset, index: int, *, bgr: bool) -> str | None:
    """Sample ``index`` as the model sees it, at most ``PICTURE_PX`` wide and high, as a data URI;
    ``None`` where the data are no pictures."""
    from PIL import Image

    try:
        pixels = dataset.pixels(index)
    except UsageError:
        return None
    channels = pixels.shape[2]
    if channels not in (1, 3):
        return None
    if bgr and channels == 3:
        pixels = pixels[:, :, ::-1]
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels))
    image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if max(image.size) <= _LOSSLESS_PX:
        image.save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(stream, "JPEG", quality=80, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def mentioned_classes(changes: Sequence[Changes]) -> Iterator[int]:
    """Every class that needs a name."""
    for each in changes:
        for pair in each.pairs:
            yield from (pair.float_class, pair.quantized_class)
        for flip in each.flips:
            yield from (flip.float_class, flip.quantized_class)
            if flip.label is not None:
                yield flip.label


def thinned(times_ms: Array) -> list[float]:
    """At most ``TIMES`` of the times in their order, taken evenly, in microseconds' precision."""
    flat = times_ms.ravel()
    if len(flat) > TIMES:
        flat = flat[np.linspace(0, len(flat) - 1, TIMES).astype(int)]
    return [round(float(value), 5) for value in flat]
