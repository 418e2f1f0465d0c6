"""Sizes against each other."""

from __future__ import annotations

import pytest

from edgekit.errors import UsageError
from edgekit.measure.size import Size, compare_size


def test_size() -> None:
    assert compare_size(400, 101) == Size(400, 101, 0.2525)


def test_an_empty_float_model_has_no_ratio() -> None:
    with pytest.raises(UsageError, match="no bytes"):
        compare_size(0, 101)
