"""Limits of what may be lost of a metric. What was lost is an estimate: a check passes or fails
only where the whole interval lies on one side, and says what would decide where it does not.

Sources: G. Piaggio et al., JAMA 308 (2012), on non-inferiority; R. Berger, Technometrics 24 (1982):
that every class is within its limit needs no correction for their number, since all have to be;
S. Holm, Scandinavian Journal of Statistics 6 (1979): that some class is beyond it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import NormalDist

from edgekit.gate.check import Check, Status, not_measured, percent, side
from edgekit.numerics.intervals import Interval, mcnemar, samples_by_score, samples_to_decide
from edgekit.recipe.gate_spec import GateSpec
from edgekit.tasks.compare import drop_score, lost_and_won, relative_interval
from edgekit.tasks.task import MetricAccuracy

_SHOWN = 5


def check_accuracy(gate: GateSpec, accuracy: Mapping[str, MetricAccuracy]) -> Iterator[Check]:
    """Drops in the metrics' own units, then relative ones, then the recall of each class."""
    for name, limit in gate.drop_limits.items():
        check = f"accuracy.{name}.drop"
        if name in accuracy:
            yield _drop(check, limit, accuracy[name], gate.confidence)
        else:
            yield not_measured(check, limit, _absent(name, accuracy))
    for name, limit in gate.relative_drop_max.items():
        check = f"accuracy.{name}.relative_drop"
        if name in accuracy:
            yield _relative(check, limit, accuracy[name], gate.confidence)
        else:
            yield not_measured(check, limit, _absent(name, accuracy))
    if gate.class_recall_drop_max is not None:
        yield _classes(gate.class_recall_drop_max, accuracy, gate.confidence)


def _drop(name: str, limit: float, metric: MetricAccuracy, confidence: float) -> Check:
    metric = metric.at(confidence)
    status, word = side(metric.ci_low, metric.ci_high, limit)
    why = _sentence(metric, Interval(metric.ci_low, metric.ci_high), confidence, word)
    if status is Status.INCONCLUSIVE:
        why += f"; {_would_decide(_needed(metric, limit, confidence), 'such')}"
    return Check(name, True, limit, metric.drop, status, f"{why}){_test(metric)}")


def _relative(name: str, limit: float, metric: MetricAccuracy, confidence: float) -> Check:
    if metric.float == 0:
        why = "the float model's own figure is 0, of which nothing is a share"
        return not_measured(name, limit, why)
    assert metric.pair is not None  # it was measured in this run
    drop = 0.0 + metric.drop / abs(metric.float)
    interval = relative_interval(metric.pair, confidence)
    status, word = side(interval.low, interval.high, limit)
    why = _sentence(metric, interval, confidence, word)
    if status is Status.INCONCLUSIVE:
        why += f"; {_would_decide(samples_to_decide(drop, interval, metric.n, limit), 'such')}"
    why += f"), as a share of the float model's {metric.float:.4g}"
    return Check(name, True, limit, drop, status, why)


def _sentence(metric: MetricAccuracy, interval: Interval, confidence: float, word: str) -> str:
    """Its bracket is open: what would decide may follow."""
    return (
        f"the {percent(confidence)} interval {interval.low:+.3f} to {interval.high:+.3f} lies "
        f"{word} the limit ({metric.n} labelled samples"
    )


def _test(metric: MetricAccuracy) -> str:
    if metric.pair is None or (counts := lost_and_won(metric.pair)) is None:
        return ""
    lost, won = counts
    if metric.pair.clusters is not None:
        return f"; {lost} lost, {won} won, of {metric.pair.independent} independent recordings"
    p = mcnemar(lost, won)
    return f"; {lost} lost, {won} won (exact McNemar test: p = {p:.2g})"


def _would_decide(count: int | None, what: str) -> str:
    if count is None:
        return "no number of them would decide, for the estimate is the limit"
    digits = 10 ** max(len(str(count)) - 2, 0)
    return f"about {-(-count // digits) * digits:,} {what} would decide"


def _classes(limit: float, accuracy: Mapping[str, MetricAccuracy], confidence: float) -> Check:
    """Passes where each class's interval lies within the limit: all have to, so a class that does
    not belong there lets it pass no more often than if it were alone. Fails where a class is beyond
    by Holm's rule: of many classes some would be by chance."""
    name = "accuracy.recall.class_drop"
    if "recall" not in accuracy or not accuracy["recall"].classes:
        return not_measured(name, limit, _absent("recall", accuracy))
    classes = accuracy["recall"].classes
    worst = max(classes, key=lambda one: classes[one].drop)

    def check(status: Status, one: str, why: str) -> Check:
        return Check(name, True, limit, classes[one].drop, status, why)

    beyond = _beyond(limit, classes, confidence)
    if beyond:
        why = (
            f"{_listed(beyond, classes)} lost more, at {percent(confidence)} over all "
            f"{len(classes)} classes together (Holm)"
        )
        return check(Status.FAIL, beyond[0], why)
    judged = {one: metric.at(confidence) for one, metric in classes.items()}
    across = sorted(
        (one for one, metric in judged.items() if metric.ci_high > limit),
        key=lambda one: -judged[one].ci_high,
    )
    if not across:
        why = f"each of the {len(classes)} classes is within; worst is {_listed([worst], classes)}"
        return check(Status.PASS, worst, why)
    counts = [_needed(judged[one], limit, confidence) for one in across]
    told = [count for count in counts if count is not None]
    most = max(told) if len(told) == len(counts) else None
    why = (
        f"the {percent(confidence)} interval of {len(across)} of {len(classes)} classes lies "
        f"across the limit: {_listed(across, classes)}; "
        f"{_would_decide(most, 'samples of each such class')}"
    )
    return check(Status.INCONCLUSIVE, worst, why)


def _beyond(limit: float, classes: Mapping[str, MetricAccuracy], confidence: float) -> list[str]:
    """The classes that lost more than ``limit`` at that confidence together, the worst first: by
    Holm's steps over one-sided p-values of the score test."""

    def score(name: str, confidence: float) -> float:
        pair = classes[name].pair
        found = None if pair is None else drop_score(pair, limit, confidence)
        assert found is not None  # a class's recall is a share of right answers
        return found

    scores = {name: score(name, confidence) for name in classes}
    found: list[str] = []
    for name in sorted(scores, key=lambda one: -scores[one]):
        tail = (1 - confidence) / 2 / (len(scores) - len(found))
        if NormalDist().cdf(-score(name, 1 - 2 * tail)) > tail:
            break
        found.append(name)
    return sorted(found, key=lambda one: -classes[one].drop)


def _needed(metric: MetricAccuracy, limit: float, confidence: float) -> int | None:
    """By the score test where the metric is a share of right answers, else by the width."""
    score = None if metric.pair is None else drop_score(metric.pair, limit, confidence)
    if score is not None:
        return samples_by_score(score, metric.n, confidence)
    interval = Interval(metric.ci_low, metric.ci_high)
    return samples_to_decide(metric.drop, interval, metric.n, limit)


def _listed(names: list[str], classes: Mapping[str, MetricAccuracy]) -> str:
    shown = ", ".join(
        f"class {name} ({classes[name].drop:+.3f} of {classes[name].n})" for name in names[:_SHOWN]
    )
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _absent(name: str, accuracy: Mapping[str, MetricAccuracy]) -> str:
    if not accuracy:
        return "there were no labelled samples"
    return f"{name} was not scored; {', '.join(accuracy)} were"
