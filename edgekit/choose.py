"""Which of several candidates is best: their figures in, a choice and its reasons out.

A candidate is one way to the same end (a method, a bridge), measured against the float model on
samples that are for choices. Rules are asked in turn, and each leaves out those that are clearly
worse in one respect; what is not clear is left to the next. One rule looks at a time, and only at
candidates that have one: it needs a wide margin, so that the same inputs give the same choice
except where a candidate's true latency lies near that margin.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from edgekit.bridges.verify import Hop
from edgekit.numerics.intervals import bootstrap_ratio_of_medians, paired_difference
from edgekit.types import Array

WAYS = frozenset({"bridge", "way"})
"""What candidates differ in where they are graphs of one model, so that costs may decide."""
CLEAR_DB = 1.0
"""A smaller difference of SQNR decides only where nothing else does."""
SEEN_DB = 0.05
"""A difference that the report does not show decides nothing."""
CLEAR_LATENCY = 1.25
"""Multiple of the fastest's latency that the whole interval must exceed for one to lose by it."""
CLEAR_SIZE = 0.01
"""Share by which a file must be larger than the smallest to lose by it."""


@dataclass(frozen=True)
class Candidate:
    """One candidate. ``error`` is why it came to nothing; then there are no figures.

    ``seconds`` it took to make; ``sqnr_db`` of every output, the primary first; ``float_ops`` as
    many as it has, allowed or not; ``hops`` the bridges on the way to its method, the last of which
    may be the one that failed; ``round_ms`` float64 [rounds], measured in the same rounds as the
    others' (``None``: not timed); ``broken`` what it breaks of what it should keep; ``agreeing``
    bool [N], whether it chooses the float model's class for each sample (``None`` outside
    classification); ``top1_drop`` by how much the share of right answers is smaller than the float
    model's (``None`` where the samples have no labels); ``lost`` is why it was not chosen.
    """

    name: str
    seconds: float
    error: str | None = None
    agreeing: Array | None = field(default=None, repr=False, compare=False)
    top1_drop: float | None = None
    sqnr_db: Mapping[str, float] = field(default_factory=dict)
    size_bytes: int | None = None
    ops: int | None = None
    float_ops: int | None = None
    transposes: int | None = None
    hops: tuple[Hop, ...] = ()
    round_ms: Array | None = field(default=None, repr=False, compare=False)
    broken: tuple[str, ...] = ()
    lost: str | None = None

    @property
    def agreement(self) -> float | None:
        return None if self.agreeing is None else float(self.agreeing.mean())

    @property
    def latency_ms(self) -> float | None:
        return None if self.round_ms is None else float(np.median(self.round_ms))

    @property
    def primary_db(self) -> float:
        """SQNR of the primary output."""
        return next(iter(self.sqnr_db.values()))


@dataclass(frozen=True)
class Samples:
    """What was compared on."""

    role: str
    dataset: str
    samples: int


@dataclass(frozen=True)
class Choice:
    """``by`` is the rule that left one candidate: ``only_candidate``, ``promise``, ``agreement``,
    ``latency``, ``sqnr_db``, ``transposes``, ``size_bytes`` or ``order``. ``on`` is ``None`` where
    nothing was compared."""

    of: str
    chosen: str
    by: str
    on: Samples | None
    candidates: tuple[Candidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """An entry of ``choices`` in report.json."""
        return {
            "of": self.of,
            "chosen": self.chosen,
            "by": self.by,
            "on": None if self.on is None else dataclasses.asdict(self.on),
            "candidates": [_to_dict(candidate) for candidate in self.candidates],
        }


def choose(of: str, candidates: Sequence[Candidate], on: Samples | None) -> Choice:
    """The best of ``candidates``, at least one of which has no ``error``.

    In turn: who keeps what it should, if anybody does; who agrees with the float model on as many
    samples as the best, within the 95 % paired interval; whose SQNR is within ``CLEAR_DB`` of the
    best, output by output, the primary first; whose file is within ``CLEAR_SIZE`` of the smallest;
    who agrees on as many samples as the best, within one standard error; whose primary SQNR is
    within ``SEEN_DB`` of the highest; who comes first.

    Between ways over the bridges (``of`` in ``WAYS``) graphs of one model are compared,
    so two rules of cost come in: latency within ``CLEAR_LATENCY`` of the fastest, as soon as the
    task's own measure of quality was asked (agreement, else SQNR); and no more transposes than the
    fewest, before the size.
    """
    left = [candidate for candidate in candidates if candidate.error is None]
    by = "only_candidate"
    lost: dict[str, str] = {}
    for name, rule in _rules(left, ways=of in WAYS):
        out = dict(rule(left)) if len(left) > 1 else {}
        if out:
            by = name
            lost |= out
            left = [candidate for candidate in left if candidate.name not in out]
    (chosen,) = left
    judged = (dataclasses.replace(each, lost=lost.get(each.name)) for each in candidates)
    return Choice(of, chosen.name, by, on, tuple(judged))


_Rule = Callable[[Sequence[Candidate]], Iterator[tuple[str, str]]]
"""Names of those left out of some candidates, with the reason; never all of them."""


def _rules(candidates: Sequence[Candidate], *, ways: bool) -> Iterator[tuple[str, _Rule]]:
    classes = candidates[0].agreeing is not None
    yield "promise", _breaking
    yield "agreement", _agreeing_less
    if ways and classes:
        yield "latency", _slower
    for output in candidates[0].sqnr_db:
        yield "sqnr_db", partial(_noisier, output)
    if ways and not classes:
        yield "latency", _slower
    if ways:
        yield "transposes", _transposing_more
    yield "size_bytes", _larger
    yield "agreement", _barely_agreeing_less
    yield "sqnr_db", _barely_noisier
    yield "order", _later


def _breaking(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    if all(candidate.broken for candidate in left):
        return
    for candidate in left:
        if candidate.broken:
            yield candidate.name, candidate.broken[0]


def _agreeing_less(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    """Both see the same samples, so the test is a paired one: 3 answers of 200 are no difference.

    Samples count as independent, which crops of one photo are not: of these it sees a difference
    too soon rather than too late.
    """
    best = max(left, key=lambda candidate: candidate.agreement or 0.0)
    if best.agreeing is None:
        return
    n = len(best.agreeing)
    for candidate in left:
        assert candidate.agreeing is not None, "the task is the same for all"
        ahead = int((best.agreeing & ~candidate.agreeing).sum())
        behind = int((candidate.agreeing & ~best.agreeing).sum())
        if paired_difference(ahead, behind, n).low > 0:
            yield (
                candidate.name,
                f"it agrees with the float model on {int(candidate.agreeing.sum())} of {n} "
                f"samples, {best.name} on {int(best.agreeing.sum())}",
            )


def _slower(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    """Timed in the same rounds, so the ratio's interval is that of pairs."""
    timed = {each.name: each.round_ms for each in left if each.round_ms is not None}
    if len(timed) < len(left):
        return
    best = min(timed, key=lambda name: float(np.median(timed[name])))
    for name, round_ms in timed.items():
        if name == best:
            continue
        interval = bootstrap_ratio_of_medians(round_ms, timed[best], seed=0)
        if interval.low > CLEAR_LATENCY:
            ratio = float(np.median(round_ms) / np.median(timed[best]))
            yield name, f"{ratio:.2f} x the latency of {best}"


def _noisier(output: str, left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    best = max(left, key=lambda candidate: candidate.sqnr_db[output])
    for candidate in left:
        short = best.sqnr_db[output] - candidate.sqnr_db[output]
        if short > CLEAR_DB:
            yield candidate.name, f"{short:.1f} dB less SQNR of {output} than {best.name}"


def _transposing_more(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    counts = {each.name: each.transposes for each in left if each.transposes is not None}
    if len(counts) < len(left):
        return
    best = min(counts, key=lambda name: counts[name])
    for name, count in counts.items():
        if count > counts[best]:
            noun = "transpose" if count == 1 else "transposes"
            yield name, f"{count} {noun}, {best} has {counts[best]}"


def _larger(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    least = min(left, key=lambda candidate: candidate.size_bytes or 0)
    for candidate in left:
        ratio = (candidate.size_bytes or 0) / (least.size_bytes or 1)
        if ratio > 1 + CLEAR_SIZE:
            yield candidate.name, f"{ratio - 1:.1%} more bytes than {least.name}, no better"


def _barely_agreeing_less(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    """Where all else is alike the likelier one is taken: a decibel's tenth moves far fewer answers
    than one standard error of their difference."""
    best = max(left, key=lambda candidate: (candidate.agreement or 0.0, candidate.primary_db))
    if best.agreeing is None:
        return
    for candidate in left:
        assert candidate.agreeing is not None, "the task is the same for all"
        ahead = int((best.agreeing & ~candidate.agreeing).sum())
        behind = int((candidate.agreeing & ~best.agreeing).sum())
        if ahead - behind > math.sqrt(ahead + behind):
            yield (
                candidate.name,
                f"alike but for {ahead - behind} answers of {len(best.agreeing)} that {best.name} "
                "keeps beyond it",
            )


def _barely_noisier(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    best = max(left, key=lambda candidate: candidate.primary_db)
    for candidate in left:
        short = best.primary_db - candidate.primary_db
        if short > SEEN_DB:
            yield candidate.name, f"alike but for {short:.1f} dB less SQNR than {best.name}"


def _later(left: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    for candidate in left[1:]:
        yield candidate.name, f"no different from {left[0].name}, which comes first"


def _to_dict(candidate: Candidate) -> dict[str, Any]:
    made = candidate.error is None
    return {
        "name": candidate.name,
        "agreement": candidate.agreement,
        "sqnr_db": candidate.primary_db if candidate.sqnr_db else None,
        "outputs": dict(candidate.sqnr_db),
        "latency_ms": candidate.latency_ms,
        "size_bytes": candidate.size_bytes,
        "ops": candidate.ops,
        "float_ops": candidate.float_ops,
        "transposes": candidate.transposes,
        "hops": [dataclasses.asdict(hop) for hop in candidate.hops],
        "seconds": candidate.seconds,
        "lost": candidate.lost,
        **({} if made else {"error": candidate.error}),
    }
