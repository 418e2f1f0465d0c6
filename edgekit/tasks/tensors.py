"""Outputs that are only numbers: fidelity is measured, nothing is scored."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.runtimes.predict import Predictions
from edgekit.tasks.task import MetricAccuracy


class Tensors:
    """No metric and no agreement."""

    name = "tensors"
    classification = False

    def score(
        self, float_model: Predictions, quantized: Predictions, primary: str
    ) -> Mapping[str, MetricAccuracy]:
        """Always empty: a label says nothing about these outputs."""
        return {}
