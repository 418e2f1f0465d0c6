"""Evidence to match the report of ``sample``: flips of every kind, times, layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.measure.evidence import Changes, ClassPair, Evidence, Flip
from edgekit.measure.latency import PairTimes
from edgekit.measure.layers import LayerErrors
from edgekit.report.evidence import evidence_to_dict
from tests.report.layers_sample import LAYERS

# A PNG of one red pixel.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8Dw"
    "HwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
NAMES = ("cat", "dog", "<i>fox</i> & co", "owl")
LABELLED = Changes(
    use="labelled",
    n=20,
    changed=3,
    lost=1,
    won=1,
    softmax=True,
    pairs=(ClassPair(0, 1, 2), ClassPair(2, 3, 1)),
    flips=(
        Flip("photos/1.jpg", 0, 0, 0.91, 1, 0.5, PICTURE),
        Flip("photos/<2>.jpg", 3, 2, 0.4, 1, 0.35, PICTURE),
        Flip("photos/3.jpg", 3, 2, 0.3, 3, 0.31, None),
    ),
)
UNLABELLED = Changes(
    use="fidelity",
    n=400,
    changed=27,
    lost=None,
    won=None,
    softmax=False,
    pairs=tuple(ClassPair(n, n + 1, 9 - n) for n in range(8)),
    flips=(Flip("photos/4.jpg#0,1,2,3", None, 0, 0.6, 900, 0.55, PICTURE),),
)
_ROUNDS = np.random.default_rng(0).lognormal(0, 0.05, (2, 20, 5))
EVIDENCE = Evidence(
    changes=(LABELLED, UNLABELLED),
    times=PairTimes(7.1 * _ROUNDS[0], 3.2 * _ROUNDS[1]),
    layers=LayerErrors(LAYERS, (), 8),
    layers_role="calibration",
)


def evidence() -> dict[str, Any]:
    """evidence.json of it."""
    return evidence_to_dict(EVIDENCE, NAMES)
