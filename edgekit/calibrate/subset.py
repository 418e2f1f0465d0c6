"""Which of a tensor's values a histogram counts: every so many, the same in every sample."""

from __future__ import annotations

from math import gcd

VALUES_MAX = 2048
"""Of one tensor in one sample. 100 samples make some 200,000, of which 20 lie beyond 99.99 %."""


def stride(size: int) -> int:
    """The step through the flat tensor of ``size`` elements that meets at most ``VALUES_MAX``.

    It has no factor in common with ``size``, so none with the length of any axis: channels, rows
    and columns all take their turns, and none is met more often than another.
    """
    step = max(1, -(-size // VALUES_MAX))
    while gcd(step, size) > 1:
        step += 1
    return step
