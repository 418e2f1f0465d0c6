"""Which values are counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edgekit.calibrate.subset import VALUES_MAX, stride


@given(st.integers(0, 5_000_000))
def test_there_are_few_and_some_of_every_tensor_that_holds_any(size: int) -> None:
    met = len(range(0, size, stride(size)))
    assert met <= VALUES_MAX
    assert met >= min(size, 1)


@given(st.integers(1, 112), st.integers(1, 112), st.sampled_from([1, 3, 24, 96, 320]))
def test_every_channel_has_its_turn(height: int, width: int, channels: int) -> None:
    size = height * width * channels
    turns = Counter(index % channels for index in range(0, size, stride(size)))
    met = sum(turns.values())
    if met >= channels:
        assert len(turns) == channels
        assert max(turns.values()) - min(turns.values()) <= 1
