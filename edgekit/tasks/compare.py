"""Two models under one metric: figures, and how sure they are."""

from __future__ import annotations

from math import isfinite, nan

import numpy as np

from edgekit.errors import DataError
from edgekit.numerics.clusters import FEW_GROUPS, design_effect
from edgekit.numerics.intervals import (
    CONFIDENCE,
    Interval,
    paired_difference,
    paired_difference_score,
    paired_ratio,
    wilson,
)
from edgekit.numerics.resampling import least_half_width, mean_interval, paired_bootstrap
from edgekit.runtimes.predict import Predictions
from edgekit.tasks.classification import RecallTally
from edgekit.tasks.task import IntervalKind, Metric, MetricAccuracy, Pair
from edgekit.types import Array


def compare(
    metric: Metric,
    float_model: Predictions,
    quantized: Predictions,
    primary: str,
    clusters: Array | None = None,
) -> MetricAccuracy:
    """Both models' figures, and the intervals that the metric allows; ``clusters`` as in ``Pair``.

    Raises:
        DataError: answers that cannot be scored, or a single sample of a metric that is no share of
            right answers: nothing can be said of how sure it is.
    """
    return _compared(
        Pair(metric, metric.tally(float_model, primary), metric.tally(quantized, primary), clusters)
    )


def intervals(pair: Pair, confidence: float = CONFIDENCE) -> tuple[Interval, Interval]:
    """Of the drop, and of the quantized model's figure alone."""
    metric, before, after = pair.metric, pair.float_model, pair.quantized
    first, second = before.contributions, after.contributions
    kind = _kind(pair)
    counts = lost_and_won(pair)
    if counts is not None:
        assert second is not None
        effect = _effect(pair, confidence)
        fewer, more, n = (count / effect for count in (*counts, before.n))
        own = 1.0 if pair.clusters is None else design_effect(second, pair.clusters, confidence)
        return (
            paired_difference(fewer, more, n, confidence),
            wilson(round(second.sum()) / own, after.n / own, confidence),
        )
    if pair.independent < 2:
        what = "sample" if pair.clusters is None else "recording"
        raise DataError(
            f"{metric.name} of one {what} says nothing: there is no telling how sure it is",
            hint="Evaluate on more labelled samples.",
        )
    sign = 1.0 if metric.higher_is_better else -1.0
    if kind == "t":
        assert first is not None
        assert second is not None
        lost = sign * (first - second)
        drop = mean_interval(lost, confidence, pair.clusters)
        if drop.low == drop.high:  # all alike: the next sample may be as unlike as any seen
            values = np.concatenate([first, second])
            least = float(np.ptp(values)) * least_half_width((pair.independent,), confidence)
            drop = _at_least(drop, float(lost.mean()), least)
        alone = mean_interval(second, confidence, pair.clusters)
        return drop, _within(alone, metric.low, metric.high)
    difference, alone = paired_bootstrap(
        before.value, after.value, before.n, confidence, pair.clusters
    )
    drop = difference if sign > 0 else Interval(-difference.high, -difference.low)
    span = _span(pair)
    share = pair.independent / before.n
    least = span * least_half_width([size * share for size in before.groups], confidence)
    if pair.clusters is not None and pair.independent < FEW_GROUPS:
        least = span  # so few are drawn again in so few ways
    drop = _at_least(drop, _drop(pair, before.value(), after.value()), least)
    alone = _at_least(alone, after.value(), least)
    if metric.low is not None and metric.high is not None:
        drop = _within(drop, -span, span)
    return drop, _within(alone, metric.low, metric.high)


def lost_and_won(pair: Pair) -> tuple[int, int] | None:
    """Samples that the float model alone got right, and the quantized alone; ``None`` where the
    metric is no share of right answers."""
    if _kind(pair) != "tango":
        return None
    first, second = pair.float_model.contributions, pair.quantized.contributions
    assert first is not None
    assert second is not None
    lost, won = _only(first, second), _only(second, first)
    return (lost, won) if pair.metric.higher_is_better else (won, lost)


def right_answers(pair: Pair) -> Array | None:
    """Whether the quantized model was right on each sample, bool [N]; ``None`` likewise."""
    if _kind(pair) != "tango":
        return None
    values = pair.quantized.contributions
    assert values is not None
    return np.asarray(values == (1 if pair.metric.higher_is_better else 0))


def drop_score(pair: Pair, limit: float, confidence: float = CONFIDENCE) -> float | None:
    """Tango's statistic of the drop at ``limit``: standard normal where that is the true drop,
    above where more was lost; ``None`` where the metric is no share of right answers. Of samples
    that are not independent it is so at the ends of the interval of that ``confidence``."""
    counts = lost_and_won(pair)
    if counts is None:
        return None
    effect = _effect(pair, confidence)
    lost, won, n = (count / effect for count in (*counts, pair.float_model.n))
    return paired_difference_score(lost, won, n, limit)


def relative_interval(pair: Pair, confidence: float = CONFIDENCE) -> Interval:
    """Of the drop as a share of the float model's figure: of a share of right answers the score
    interval of a ratio of paired proportions, else a bootstrap of the samples.

    Raises:
        UsageError: the float model's figure is 0.
    """
    before, after = pair.float_model, pair.quantized
    sign = 1.0 if pair.metric.higher_is_better else -1.0
    first, second = before.contributions, after.contributions
    if _kind(pair) == "tango":
        assert first is not None
        assert second is not None
        both = int(np.count_nonzero((first == 1) & (second == 1)))
        only = _only(first, second), _only(second, first)
        effect = _effect(pair, confidence)
        a, b, c, n = (count / effect for count in (both, *only, before.n))
        ratio = paired_ratio(a, b, c, n, confidence)
        ends = sign * (1 - ratio.high), sign * (1 - ratio.low)
        return Interval(min(ends), max(ends))

    def relative(weights: Array | None = None) -> float:
        whole = before.value(weights)
        return sign * (whole - after.value(weights)) / abs(whole) if whole else nan

    found, _ = paired_bootstrap(relative, lambda weights: 0.0, before.n, confidence, pair.clusters)
    # No surer than the drop itself is, which knows how little few samples tell.
    absolute = intervals(pair, confidence)[0]
    half = (absolute.high - absolute.low) / 2 / abs(before.value())
    return _at_least(found, relative(), half)


def _compared(pair: Pair) -> MetricAccuracy:
    metric = pair.metric
    before, after = pair.float_model.value(), pair.quantized.value()
    for value in (before, after):
        if not isfinite(value):
            raise DataError(
                f"{metric.name} is not defined on these samples",
                hint="Do the targets hold anything to be found?",
            )
    of_drop, of_quantized = intervals(pair)
    theirs = pair.quantized.classes
    return MetricAccuracy(
        float=before,
        quantized=after,
        drop=_drop(pair, before, after),
        n=pair.float_model.n,
        ci_low=of_drop.low,
        ci_high=of_drop.high,
        quantized_ci_low=of_quantized.low,
        quantized_ci_high=of_quantized.high,
        higher_is_better=metric.higher_is_better,
        low=metric.low,
        high=metric.high,
        interval=_kind(pair),
        classes={
            name: _compared(Pair(metric, own, theirs[name], _clusters_of(pair, name)))
            for name, own in pair.float_model.classes.items()
        },
        pair=pair,
    )


def _effect(pair: Pair, confidence: float) -> float:
    """How many samples of those that were lost, won or neither count as one independent one."""
    first, second = pair.float_model.contributions, pair.quantized.contributions
    if pair.clusters is None or first is None or second is None:
        return 1.0
    return design_effect(first - second, pair.clusters, confidence)


def _clusters_of(pair: Pair, name: str) -> Array | None:
    """Those of the samples of a class, renumbered."""
    tally = pair.float_model
    if pair.clusters is None or not isinstance(tally, RecallTally):
        return pair.clusters
    return np.unique(pair.clusters[tally.labels == int(name)], return_inverse=True)[1]


def _span(pair: Pair) -> float:
    """What one sample's answer can be worth; of an unbounded figure, as much as the figure is."""
    metric = pair.metric
    if metric.low is not None and metric.high is not None:
        return metric.high - metric.low
    return metric.swing or max(abs(pair.float_model.value()), abs(pair.quantized.value()))


def _drop(pair: Pair, before: float, after: float) -> float:
    # 0.0 + ...: no negative zero where nothing changed.
    return 0.0 + (before - after if pair.metric.higher_is_better else after - before)


def _kind(pair: Pair) -> IntervalKind:
    first, second = pair.float_model.contributions, pair.quantized.contributions
    if first is None or second is None:
        return "bootstrap"
    metric = pair.metric
    share = (metric.low, metric.high) in ((0, 1), (None, None))  # an error of 1 is no share
    return "tango" if share and _is_yes_or_no(first) and _is_yes_or_no(second) else "t"


def _is_yes_or_no(values: Array) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _only(first: Array, second: Array) -> int:
    return int(np.count_nonzero((first == 1) & (second == 0)))


def _at_least(interval: Interval, centre: float, half: float) -> Interval:
    return Interval(min(interval.low, centre - half), max(interval.high, centre + half))


def _within(interval: Interval, low: float | None, high: float | None) -> Interval:
    return Interval(
        interval.low if low is None else max(low, interval.low),
        interval.high if high is None else min(high, interval.high),
    )
