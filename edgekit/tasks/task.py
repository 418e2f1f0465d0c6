"""The seam between outputs and their meaning: what a metric is, and what is told of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, TypeAlias

from edgekit.errors import UsageError
from edgekit.numerics.intervals import CONFIDENCE
from edgekit.runtimes.predict import Predictions
from edgekit.types import Array

Rate: TypeAlias = float
"""A fraction of 1. (An alias, because a field below is called ``float`` as in report.json.)"""

IntervalKind = Literal["tango", "t", "bootstrap"]


class Tally(Protocol):
    """One model's answers to N samples, taken in by one metric."""

    @property
    def n(self) -> int: ...

    @property
    def contributions(self) -> Array | None:
        """What each sample gives, float64 [N], where the metric is their mean."""

    @property
    def groups(self) -> Sequence[int]:
        """Numbers of samples behind the parts that count alike, e.g. of each class; one part of all
        where the metric is an average over samples."""

    @property
    def classes(self) -> Mapping[str, Tally]:
        """Of each class by its index, where the metric is an average of classes."""

    def value(self, weights: Array | None = None) -> float:
        """The metric; with ``weights``, float64 [N], sample i counts ``weights[i]`` times. NaN
        where it is not defined on these."""


@dataclass(frozen=True)
class Metric:
    """How outputs are scored. ``low`` and ``high`` bound what it can be, ``None``: nothing does."""

    name: str
    higher_is_better: bool
    low: float | None
    high: float | None
    tally: Callable[[Predictions, str], Tally]
    """Of predictions and the name of the primary output. Raises DataError: answers that cannot be
    scored against these labels or targets, by sample."""
    swing: float | None = None
    """What a single sample can be worth where nothing bounds the metric and this is known."""


@dataclass(frozen=True)
class Pair:
    """Both models' tallies of the same samples: what intervals at any confidence come from.

    ``clusters``, int64 [N] from 0 on, numbers what samples that are not independent have in common
    (their recording, ...); ``None`` where each stands for itself."""

    metric: Metric
    float_model: Tally
    quantized: Tally
    clusters: Array | None = None

    @property
    def independent(self) -> int:
        """The number of samples, or of clusters."""
        return self.float_model.n if self.clusters is None else int(self.clusters.max()) + 1


@dataclass(frozen=True)
class MetricAccuracy:
    """One metric over ``n`` labelled samples.

    ``drop`` is what was lost: float minus quantized, or the reverse where lower is better, so that
    more is always worse. ``ci_*`` is its 95 % paired interval, by the method ``interval`` names:
    Tango's score interval of proportions, Student's t of means, else a bootstrap of the samples;
    ``quantized_ci_*`` the 95 % interval of ``quantized`` alone. ``low`` and ``high`` bound the
    metric itself. ``classes`` holds the figures of each class by its index, where there are any.
    """

    float: Rate
    quantized: Rate
    drop: Rate
    n: int
    ci_low: Rate
    ci_high: Rate
    quantized_ci_low: Rate
    quantized_ci_high: Rate
    higher_is_better: bool = True
    low: Rate | None = 0.0
    high: Rate | None = 1.0
    interval: IntervalKind = "tango"
    classes: Mapping[str, MetricAccuracy] = field(default_factory=dict)
    pair: Pair | None = field(default=None, compare=False, repr=False)
    """No part of the report."""

    @property
    def is_rate(self) -> bool:
        """Whether it is a share of 1, which people read in percent."""
        return (self.low, self.high) == (0, 1)

    def at(self, confidence: Rate) -> MetricAccuracy:
        """With the intervals at another confidence; those of ``classes`` stay.

        Raises:
            UsageError: the samples are not at hand, as of a report that was read from a file.
        """
        from edgekit.tasks.compare import intervals

        if confidence == CONFIDENCE:
            return self
        if self.pair is None:
            raise UsageError("the samples of this metric are not at hand")
        drop, alone = intervals(self.pair, confidence)
        return replace(
            self,
            ci_low=drop.low,
            ci_high=drop.high,
            quantized_ci_low=alone.low,
            quantized_ci_high=alone.high,
        )

    def to_dict(self) -> dict[str, Any]:
        """As in report.json; ``classes`` only where there are any."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        del found["pair"], found["classes"]
        if self.classes:
            found["classes"] = {name: one.to_dict() for name, one in self.classes.items()}
        return found


class OutputTask(Protocol):
    """What a model's outputs mean."""

    @property
    def name(self) -> str:
        """As recipes write it under ``evaluate.task``."""

    @property
    def classification(self) -> bool:
        """Whether the largest value of the primary output names a class, so that models agree."""
