"""The evidence: who changed class, in what order they are shown, and that it stays small."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import UsageError
from edgekit.measure.evidence import (
    FLIPS,
    PAIRS,
    PICTURE_PX,
    TIMES,
    Answered,
    class_changes,
    mentioned_classes,
    picture,
    thinned,
)
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array


class Pictures:
    """As much of a dataset as a picture needs."""

    def __init__(self, pixels: Array | None, count: int = 1) -> None:
        self._pixels = pixels
        self._count = count

    def __len__(self) -> int:
        return self._count

    def pixels(self, index: int) -> Array:
        if self._pixels is None:
            raise UsageError("arrays, which have no pixels")
        return self._pixels


def answered(
    before: Array, after: Array, labels: list[int] | None, use: str = "labelled"
) -> Answered:
    ids = tuple(f"{use}-{n}" for n in range(len(before)))
    known = None if labels is None else np.array(labels)
    return Answered(
        use,
        Pictures(None, len(before)),  # type: ignore[arg-type]
        Predictions({"scores": before}, ids, known),
        Predictions({"scores": after}, ids, known),
    )


def scores(classes: list[int], height: list[float], count: int = 4) -> Array:
    made = np.zeros((len(classes), count), np.float32)
    made[np.arange(len(classes)), classes] = height
    return made


def test_lost_come_first_then_the_surest() -> None:
    before = scores([0, 1, 2, 3, 0], [2.0, 1.0, 5.0, 3.0, 4.0])
    after = scores([1, 2, 3, 3, 1], [1.0] * 5)
    (changes,) = class_changes([answered(before, after, [0, 2, 0, 3, 0])], "scores", bgr=False)
    assert (changes.n, changes.changed, changes.lost, changes.won) == (5, 4, 2, 1)
    assert [flip.id for flip in changes.flips] == [f"labelled-{n}" for n in (4, 0, 2, 1)]
    first = changes.flips[0]
    assert (first.float_class, first.quantized_class, first.label) == (0, 1, 0)
    assert first.float_share == pytest.approx(np.exp(4) / (np.exp(4) + 3))
    assert changes.softmax
    assert next((p.float_class, p.quantized_class, p.count) for p in changes.pairs) == (0, 1, 2)
    assert set(mentioned_classes([changes])) == {0, 1, 2, 3}


def test_probabilities_are_taken_as_they_are() -> None:
    before = np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
    after = np.array([[0.4, 0.61], [0.3, 0.7]], np.float32)  # INT8 rounds
    (changes,) = class_changes([answered(before, after, None)], "scores", bgr=False)
    assert not changes.softmax
    assert (changes.lost, changes.won) == (None, None)
    (flip,) = changes.flips
    assert (flip.float_share, flip.quantized_share) == (pytest.approx(0.9), pytest.approx(0.61))


def test_nothing_changed_is_no_fault() -> None:
    same = scores([0, 1], [1.0, 1.0])
    (changes,) = class_changes([answered(same, same, [0, 1])], "scores", bgr=False)
    assert (changes.changed, changes.lost, changes.won) == (0, 0, 0)
    assert changes.flips == changes.pairs == ()


def test_it_stays_small_and_shows_no_sample_twice() -> None:
    n, classes = 2000, 100
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, n, classes)).astype(np.float32)
    labels = list(rng.integers(0, classes, n))
    one = answered(before, after, labels)
    again = Answered("fidelity", one.dataset, one.float_model, one.quantized)
    first, second = class_changes([one, again], "scores", bgr=False)
    assert len(first.flips) == FLIPS
    assert second.flips == ()
    assert second.changed == first.changed > 1900
    assert len(first.pairs) == PAIRS


def decoded(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_large_picture_becomes_a_small_one() -> None:
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :, 0] = 200
    uri = picture(Pictures(pixels), 0, bgr=False)  # type: ignore[arg-type]
    image = decoded(uri)
    assert image.size == (PICTURE_PX, PICTURE_PX // 2)
    red, green, blue = image.getpixel((40, 20))  # type: ignore[misc]
    assert red > 190
    assert max(green, blue) < 10
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    assert len(picture(Pictures(noise), 0, bgr=False) or "") < 12_000  # type: ignore[arg-type]


def test_a_tiny_picture_is_kept_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1)).astype(np.uint8)
    image = decoded(picture(Pictures(pixels), 0, bgr=False))  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(image), pixels[:, :, 0])
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    turned = decoded(picture(Pictures(colours), 0, bgr=True))  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(turned), colours[:, :, ::-1])


def test_what_is_no_picture_has_none() -> None:
    assert picture(Pictures(None), 0, bgr=False) is None  # type: ignore[arg-type]
    layers = np.zeros((4, 4, 5), np.uint8)
    assert picture(Pictures(layers), 0, bgr=False) is None  # type: ignore[arg-type]


def test_times_are_thinned_evenly() -> None:
    assert thinned(np.array([[1.0, 2.0], [3.0, 4.0]])) == [1.0, 2.0, 3.0, 4.0]
    many = np.arange(50_000, dtype=np.float64).reshape(100, 500)
    kept = thinned(many)
    assert len(kept) == TIMES
    assert (kept[0], kept[-1]) == (0.0, 49_999.0)
    assert np.median(kept) == pytest.approx(25_000, rel=0.01)
