"""The seam between outputs and their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgekit.types import Array


class OutputTask(Protocol):
    """What a model's primary output means, and how one sample is judged by it."""

    @property
    def name(self) -> str:
        """As recipes write it under ``evaluate.task``."""

    @property
    def classification(self) -> bool:
        """Whether the largest value names a class, so that models can agree on it."""

    def correct(self, output: Array, labels: Array, ids: tuple[str, ...]) -> Mapping[str, Array]:
        """Per metric, whether each sample was right: bool [N].

        ``output`` is float32 [N, ...], ``labels`` int64 [N], ``ids`` name the samples for errors.

        Raises:
            DataError: a label the output cannot express.
        """
