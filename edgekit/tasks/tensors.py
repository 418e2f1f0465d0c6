"""Outputs that are only numbers: fidelity is measured, nothing is scored but by a function of the
user's."""

from __future__ import annotations


class Tensors:
    """No metric and no agreement."""

    name = "tensors"
    classification = False
