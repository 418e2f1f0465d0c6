"""Mistakes on both sides of the comparison: the float model is hurt as much as the file, and the
gate, which holds one against the other, has nothing to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from benchmarks.damage.verdicts import Bench, answers_of
from edgekit.artefact import inspect_artefact
from edgekit.gate.check import verdict
from edgekit.runtimes.predict import Predictions, predict
from edgekit.types import Array
from edgekit.zoo.train_fashion_keras import PREPROCESS

LABELS = (0.1, 0.3)
"""Shares of the labels that are another class's."""
NORMALISATIONS = ((1.1, 1.1), (1.1, 1 / 1.1), (1 / 1.1, 1.1))
"""What the recipe's mean and deviation are times the right ones."""


@dataclass(frozen=True)
class Unseen:
    """``float_top1`` and ``top1`` are shares of right answers, as the report would show them."""

    mistake: str
    float_top1: float
    top1: float
    verdict: str


def unseen(bench: Bench) -> Iterator[Unseen]:
    """The undamaged file in recipes with mistakes."""
    answers = answers_of(bench.undamaged, bench.pictures)
    yield _judged(bench, "none", bench.reference, answers)
    for share in LABELS:
        labels = _mislabelled(bench.reference.labels, share)
        yield _judged(
            bench,
            f"{share:.0%} of the labels wrong",
            replace(bench.reference, labels=labels),
            replace(answers, labels=labels),
        )
    with bench.made.source.open_session(1) as session:
        for of_mean, of_std in NORMALISATIONS:
            mean, std = PREPROCESS.mean[0], PREPROCESS.std[0]
            factor, offset = 1 / of_std, mean * (1 - of_mean) / (std * of_std)
            pictures = [
                replace(
                    sample,
                    feeds={
                        name: array * np.float32(factor) + np.float32(offset)
                        for name, array in sample.feeds.items()
                    },
                )
                for sample in bench.pictures
            ]
            yield _judged(
                bench,
                f"mean times {of_mean:.2f}, deviation times {of_std:.2f}",
                predict(session, pictures),
                answers_of(bench.undamaged, pictures),
            )


def _judged(bench: Bench, mistake: str, reference: Predictions, answers: Predictions) -> Unseen:
    facts = inspect_artefact(bench.made.quantized.artefact, islice(bench.pictures, 1))
    every = np.arange(len(reference))
    checks = bench.checks(facts, len(bench.undamaged), answers, every, reference)
    primary = bench.made.source.outputs[0]
    float_top1, top1 = (
        float((each.outputs[primary].argmax(axis=1) == reference.labels).mean())
        for each in (reference, answers)
    )
    return Unseen(mistake, float_top1, top1, verdict(checks).value)


def _mislabelled(labels: Array | None, share: float) -> Array:
    assert labels is not None
    random = np.random.default_rng(0)
    wrong = random.permutation(len(labels))[: round(share * len(labels))]
    classes = int(labels.max()) + 1
    changed = labels.copy()
    changed[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
    return changed
