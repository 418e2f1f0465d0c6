"""From statistics of activations to quantization ranges. Free of any framework."""

from __future__ import annotations

ESTIMATORS: tuple[str, ...] = ("minmax",)
"""Names a recipe may use for ``quantize.estimator``."""

__all__ = ["ESTIMATORS"]
