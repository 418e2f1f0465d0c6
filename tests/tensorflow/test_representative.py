"""Calibration samples on their way to the converter: a bad one never reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.progress import SilentProgress, Task
from edgekit.recipe.schema import InputSpec
from edgekit.tensorflow.representative import representative_dataset
from edgekit.types import Sample
from tests.tensorflow.tf_models import samples

IMAGE = InputSpec("image", (1, 4, 6, 3), "float32", "NHWC")
TOKENS = InputSpec("ids", (1, 5), "int32")


def steps(given: list[Sample], *inputs: InputSpec) -> list[list[Any]]:
    return list(representative_dataset(given, inputs, SilentProgress())())


def fed(sample: Sample, **feeds: Any) -> Sample:
    return replace(sample, feeds={**sample.feeds, **feeds})


def test_arrays_come_in_the_order_of_the_inputs() -> None:
    given = samples(IMAGE, TOKENS, count=2)
    found = steps(given, TOKENS, IMAGE)
    assert [[array.dtype.name for array in step] for step in found] == [["int32", "float32"]] * 2
    np.testing.assert_array_equal(found[1][1], given[1].feeds["image"])


def test_a_fixed_batch_is_filled_with_its_last_sample() -> None:
    given = samples(IMAGE, count=3)
    found = steps(given, replace(IMAGE, shape=(2, *IMAGE.shape[1:])))
    assert [step[0].shape for step in found] == [(2, 4, 6, 3)] * 2
    np.testing.assert_array_equal(found[1][0][0], found[1][0][1])
    np.testing.assert_array_equal(found[1][0][:1], given[2].feeds["image"])


def test_it_can_be_gone_through_twice() -> None:
    dataset = representative_dataset(samples(IMAGE), (IMAGE,), SilentProgress())
    assert len(list(dataset())) == len(list(dataset())) == 6


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"image": np.zeros((1, 4, 6, 4), "f4")}, r"shape \[1, 4, 6, 4\], but the model takes"),
        ({"image": np.zeros((1, 3, 4, 6), "f4")}, "channels-first"),
        ({"image": np.zeros((4, 6, 3), "f4")}, "batch axis is missing"),
        ({"image": np.zeros((1, 4, 6, 3), "f8")}, "float64, but the model takes float32"),
        ({"image": np.full((1, 4, 6, 3), np.nan, "f4")}, "NaN"),
        ({"image": np.full((1, 4, 6, 3), np.inf, "f4")}, "infinity"),
    ],
)
def test_a_bad_sample_is_named_with_its_input(feeds: dict[str, Any], message: str) -> None:
    good = samples(IMAGE, count=3)
    bad = [*good[:2], fed(good[2], **feeds)]
    with pytest.raises(DataError, match=message) as caught:
        steps(bad, IMAGE)
    assert "sample s2, input 'image'" in str(caught.value)


def test_the_first_sample_is_looked_at_before_any_conversion() -> None:
    good = samples(IMAGE, count=1)
    with pytest.raises(DataError, match="sample s0, input 'image': the sample only has 'other'"):
        representative_dataset(
            [replace(good[0], feeds={"other": good[0].feeds["image"]})], (IMAGE,), SilentProgress()
        )


def test_no_sample_at_all() -> None:
    with pytest.raises(DataError, match="gave no sample"):
        representative_dataset([], (IMAGE,), SilentProgress())


def test_every_sample_advances_the_progress() -> None:
    seen: list[Any] = []

    class Counting(SilentProgress):
        @contextmanager
        def task(self, description: str, total: int | None = None) -> Iterator[Task]:
            seen.append((description, total))

            class One:
                def advance(self, steps: int = 1) -> None:
                    seen.append(steps)

            yield One()

    list(representative_dataset(samples(IMAGE, count=3), (IMAGE,), Counting())())
    assert seen == [("Calibrating", 3), 1, 1, 1]
