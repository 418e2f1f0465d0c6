"""The seam between outputs and their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from edgekit.runtimes.predict import Predictions

Rate: TypeAlias = float
"""A fraction of 1. (An alias, because a field below is called ``float`` as in report.json.)"""


@dataclass(frozen=True)
class MetricAccuracy:
    """One metric over ``n`` labelled samples.

    ``drop`` is float minus quantized, ``ci_*`` its 95 % paired interval (Tango's score interval);
    ``quantized_ci_*`` the 95 % interval of ``quantized`` alone (Wilson's).
    """

    float: Rate
    quantized: Rate
    drop: Rate
    n: int
    ci_low: Rate
    ci_high: Rate
    quantized_ci_low: Rate
    quantized_ci_high: Rate


class OutputTask(Protocol):
    """What a model's outputs mean, and how they are scored."""

    @property
    def name(self) -> str:
        """As recipes write it under ``evaluate.task``."""

    @property
    def classification(self) -> bool:
        """Whether the largest value of the primary output names a class, so that models agree."""

    def score(
        self, float_model: Predictions, quantized: Predictions, primary: str
    ) -> Mapping[str, MetricAccuracy]:
        """Both models on the same labelled samples, by metric; the task chooses each interval.

        Raises:
            DataError: a label the outputs cannot express.
        """
