"""The numeric check after every hop: does the converted model answer like the one it came from?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.errors import MismatchError
from edgekit.runtimes.predict import predict
from edgekit.runtimes.session import Session
from edgekit.types import Sample

MIN_SQNR_DB = 60.0
"""Float rounding in another order of summation leaves well over 100 dB; a wrong layout, padding
or epsilon leaves less than 40."""


@dataclass(frozen=True)
class HopOutput:
    """One output, float against float."""

    name: str
    max_abs: float
    sqnr_db: float


@dataclass(frozen=True)
class Hop:
    """What the check of one hop found."""

    bridge: str
    samples: int
    outputs: tuple[HopOutput, ...]


def verify_hop(bridge: str, before: Session, after: Session, samples: Sequence[Sample]) -> Hop:
    """Run ``samples`` through both models and compare every output by name.

    Raises:
        MismatchError: an output is missing, of another shape, or differs by more than rounding.
    """
    expected = predict(before, samples)
    found = predict(after, samples)
    if expected.outputs.keys() != found.outputs.keys():
        raise MismatchError(
            f"{bridge} changed the outputs: {', '.join(expected.outputs)} became "
            f"{', '.join(found.outputs)}"
        )
    outputs = []
    for name, reference in expected.outputs.items():
        converted = found.outputs[name]
        if converted.shape != reference.shape:
            raise MismatchError(
                f"{bridge} changed the shape of output {name!r}: "
                f"{list(reference.shape[1:])} became {list(converted.shape[1:])}"
            )
        outputs.append(_compare(name, reference, converted))
    hop = Hop(bridge=bridge, samples=len(samples), outputs=tuple(outputs))
    for output in hop.outputs:
        if not output.sqnr_db >= MIN_SQNR_DB:
            raise MismatchError(
                f"{bridge} converted the model, but output {output.name!r} differs from the "
                f"source's by up to {output.max_abs:.3g} ({output.sqnr_db:.1f} dB, "
                f"at least {MIN_SQNR_DB:.0f} dB wanted) on {hop.samples} samples",
                hint="Check the layout and shape in model.inputs; then report the model to the "
                "converter's authors.",
            )
    return hop


def _compare(name: str, reference: np.ndarray, converted: np.ndarray) -> HopOutput:  # type: ignore[type-arg]
    difference = reference.astype(np.float64) - converted
    noise = float(np.square(difference).sum())
    signal = float(np.square(reference.astype(np.float64)).sum())
    if noise == 0.0:
        sqnr_db = float("inf")
    elif signal == 0.0:
        sqnr_db = float("-inf")
    else:
        sqnr_db = 10.0 * float(np.log10(signal / noise))
    return HopOutput(name=name, max_abs=float(np.abs(difference).max()), sqnr_db=sqnr_db)
