"""Masks in front of a Softmax, beside which 8 bits hold nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from edgekit.calibrate.statistics import Statistics

MAX_SPAN = 255.0
"""Between the extremes of what a Softmax reads: of more, one step of 8 bits is more than 1, a
factor of e between neighbouring answers. Values that far apart are a mask: -1e4, float32's least,
minus infinity."""


def masked_nodes(model: Any, chosen: Collection[str], statistics: Statistics) -> dict[str, str]:
    """Of the nodes called in ``chosen`` those that have to stay float for a Softmax's sake, and the
    masked tensor that each reads or writes: what the Softmax reads, and what that was made of as
    far as it spans as much."""
    ranges = {name: tensor.exact for name, tensor in statistics.items()}
    wide = {
        name
        for name, seen in ranges.items()
        if np.isfinite(seen.max) and seen.max - seen.min > MAX_SPAN
    }
    candidates = [node for node in model.graph.node if node.name in chosen]
    masked = {node.input[0] for node in candidates if node.op_type == "Softmax"} & wide
    for node in reversed(candidates):
        if masked & set(node.output):
            masked |= wide & set(node.input)
    touched = ((node.name, masked & {*node.input, *node.output}) for node in candidates)
    return {name: min(tensors) for name, tensors in touched if tensors}
