"""Outputs that are only numbers: fidelity is measured, nothing is scored."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.types import Array


class Tensors:
    """No metric and no agreement."""

    name = "tensors"
    classification = False

    def correct(self, output: Array, labels: Array, ids: tuple[str, ...]) -> Mapping[str, Array]:
        """Always empty: a label says nothing about these outputs."""
        return {}
