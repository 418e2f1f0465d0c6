"""Crops that repeat anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.crops import CropRule, crop_box


def test_golden_boxes() -> None:
    rule = CropRule(seed=1)
    boxes = [crop_box(rule, "ab" * 32, number, 512, 384) for number in range(4)]
    assert boxes == [
        (116, 72, 350, 370),
        (62, 36, 436, 369),
        (57, 0, 455, 363),
        (180, 80, 415, 378),
    ]


def test_every_part_of_the_rule_matters() -> None:
    base = crop_box(CropRule(seed=1), "a", 0, 500, 400)
    assert crop_box(CropRule(seed=2), "a", 0, 500, 400) != base
    assert crop_box(CropRule(seed=1), "b", 0, 500, 400) != base
    assert crop_box(CropRule(seed=1), "a", 1, 500, 400) != base


@given(
    st.integers(0, 9),
    st.integers(1, 700),
    st.integers(1, 700),
    st.floats(0.01, 1.0),
    st.floats(0.1, 1.0),
)
def test_boxes_lie_inside(number: int, width: int, height: int, low: float, ratio: float) -> None:
    rule = CropRule(0, (low, 1.0), (ratio, 1 / ratio))
    left, top, right, bottom = crop_box(rule, "x", number, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@given(st.integers(0, 300))
def test_boxes_follow_scale_and_ratio(number: int) -> None:
    left, top, right, bottom = crop_box(CropRule(0), "x", number, 500, 500)
    width, height = right - left, bottom - top
    assert 0.34 <= width * height / 250_000 <= 1.0
    assert 0.74 <= width / height <= 1.345


def test_impossible_ratio_falls_back_to_the_centre() -> None:
    box = crop_box(CropRule(0, (1.0, 1.0), (1.0, 1.0)), "x", 0, 100, 20)
    assert box == (40, 0, 60, 20)
