"""What an operator of a float ``.tflite`` is given, on its way to a torch rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Rule = Callable[[Any, Sequence[Tensor | None]], Tensor]
"""From an operator's options and inputs to its one output; samples lie along the first axis."""


def one(inputs: Sequence[Tensor | None]) -> Tensor:
    (x,) = there(inputs[:1])
    return x


def two(inputs: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    a, b = there(inputs[:2])
    return a, b


def three(inputs: Sequence[Tensor | None]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Two that are needed, and one that may be missing."""
    return *two(inputs), inputs[2] if len(inputs) > 2 else None


def listed(numbers: Sequence[int] | None) -> Sequence[int]:
    """A vector of the options, which are ``None`` where it is empty."""
    return () if numbers is None else numbers


def there(inputs: Sequence[Tensor | None]) -> list[Tensor]:
    found = [x for x in inputs if x is not None]
    if len(found) < len(inputs):
        raise ValueError("an input is missing")
    return found
