"""How far a candidate's outputs are from its reference's on the same samples, labels aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10, sqrt

import numpy as np

from edgekit.errors import MismatchError, UsageError
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array

SQNR_LIMIT_DB = 200.0
"""``sqnr_db`` stays within ± this: identical outputs report 200, not infinity, which JSON cannot
hold and a gate could not compare. float32 itself resolves about 150 dB, so no real error is hidden.
"""


@dataclass(frozen=True)
class OutputFidelity:
    """One output, pooled over all samples and elements.

    ``sqnr_db`` is ``10 log10(sum f^2 / sum (f - q)^2)``, ``max_abs`` the largest ``|f - q|``,
    ``cosine`` the cosine of the angle between all of ``f`` and all of ``q`` (1 where both are
    zero, 0 where one is).
    """

    sqnr_db: float
    max_abs: float
    cosine: float


@dataclass(frozen=True)
class Fidelity:
    """``fidelity`` of report.json: the flat values are the primary output's.

    ``agreement`` is the share of the ``n`` samples whose largest value has the same index in both
    (the first of equal ones); ``None`` outside classification. ``outputs`` begins with the primary.
    """

    n: int
    agreement: float | None
    sqnr_db: float
    max_abs: float
    outputs: Mapping[str, OutputFidelity]


def fidelity(
    reference: Predictions, candidate: Predictions, *, primary: str, classification: bool
) -> Fidelity:
    """Compare two models' predictions on the same samples; outputs are matched by name.

    Raises:
        MismatchError: the outputs differ in name or shape, or hold infinite values.
        UsageError: the predictions are of different samples, or ``primary`` is no output.
    """
    if reference.ids != candidate.ids:
        raise UsageError("fidelity needs predictions of the same samples in the same order")
    if set(reference.outputs) != set(candidate.outputs):
        raise MismatchError(
            f"the reference has the outputs {_listed(reference)}, "
            f"the candidate has {_listed(candidate)}"
        )
    if primary not in reference.outputs:
        raise UsageError(f"no output is called '{primary}'; there is {_listed(reference)}")
    ordered = [primary, *(name for name in reference.outputs if name != primary)]
    outputs = {
        name: _compare(name, reference.outputs[name], candidate.outputs[name]) for name in ordered
    }
    agreement = None
    if classification:
        same = same_class(reference.outputs[primary], candidate.outputs[primary])
        agreement = float(same.mean())
    main = outputs[primary]
    return Fidelity(len(reference.ids), agreement, main.sqnr_db, main.max_abs, outputs)


def same_class(reference: Array, candidate: Array) -> Array:
    """bool [N]: whether the largest value of each of N answers has the same index in both."""
    n = len(reference)
    same = reference.reshape(n, -1).argmax(axis=1) == candidate.reshape(n, -1).argmax(axis=1)
    return np.asarray(same)


def top1_drop(reference: Array, candidate: Array, labels: Array) -> float:
    """By how much the share of N answers whose largest value is at the index in ``labels``, int
    [N], is smaller in ``candidate``."""
    before, after = (
        np.asarray(answers.reshape(len(labels), -1).argmax(axis=1) == labels).mean()
        for answers in (reference, candidate)
    )
    return float(before - after)


def _listed(predictions: Predictions) -> str:
    return ", ".join(f"'{name}'" for name in predictions.outputs)


def _compare(name: str, reference: Array, candidate: Array) -> OutputFidelity:
    if reference.shape != candidate.shape:
        raise MismatchError(
            f"output '{name}' has shape {list(reference.shape[1:])} in the reference "
            f"and {list(candidate.shape[1:])} in the candidate"
        )
    signal = noise = power = product = max_abs = 0.0
    for f32, q32 in zip(reference, candidate, strict=True):  # float64 copies of one sample only
        f, q = f32.astype(np.float64).ravel(), q32.astype(np.float64).ravel()
        error = f - q
        signal += float(f @ f)
        noise += float(error @ error)
        power += float(q @ q)
        product += float(f @ q)
        max_abs = max(max_abs, float(np.abs(error).max(initial=0.0)))
    if not np.isfinite([signal, power]).all():
        raise MismatchError(f"output '{name}' holds infinite values: its error has no size")
    return OutputFidelity(sqnr_db(signal, noise), max_abs, _cosine(product, signal, power))


def sqnr_db(signal: float, noise: float) -> float:
    """Of two powers, within the limit."""
    if noise == 0.0:
        return SQNR_LIMIT_DB
    if signal == 0.0:
        return -SQNR_LIMIT_DB
    ratio_db = 10 * (log10(signal) - log10(noise))
    return min(max(ratio_db, -SQNR_LIMIT_DB), SQNR_LIMIT_DB)


def _cosine(product: float, signal: float, power: float) -> float:
    if signal == 0.0 or power == 0.0:
        return 1.0 if signal == power else 0.0
    return min(max(product / (sqrt(signal) * sqrt(power)), -1.0), 1.0)
