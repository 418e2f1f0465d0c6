"""From the source model to one that a method accepts: bridges crossed, every hop verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.bridges import BRIDGES
from edgekit.bridges.cross import cross
from edgekit.bridges.route import Way, environments, way_text
from edgekit.bridges.verify import Hop, WrongAnswersError
from edgekit.environments import ENVIRONMENTS
from edgekit.environments.place import ready_place, shelf_in
from edgekit.errors import ConversionError, EdgekitError, MissingError, SessionError
from edgekit.plan import Plan
from edgekit.runs.run import Run
from edgekit.sources.source import SourceModel
from edgekit.types import ModelKind, Sample

FAILURES = (ConversionError, SessionError, MissingError)
"""What one way or method may fail of without the others; a mistake of the user's would meet all."""


@dataclass(frozen=True)
class Reached:
    """The model at the end of a way, and what the check of each hop found."""

    model: SourceModel
    hops: tuple[Hop, ...]


class Crossings:
    """The bridges of one run. What several ways share is crossed once, also where it fails."""

    def __init__(self, run: Run, source: SourceModel, samples: Iterable[Sample]):
        self._run = run
        self._samples = samples
        self._found: dict[Way, Reached | EdgekitError] = {(): Reached(source, ())}

    def over(self, way: Way) -> Reached:
        """The model at the end of ``way``.

        Raises:
            MissingError: something that a bridge needs is not there.
            ConversionError: a bridge refused the model, or changed its answers.
            SessionError: a converted model fails when it is run.
        """
        if way not in self._found:
            try:
                self._found[way] = self._cross(self.over(way[:-1]), way)
            except FAILURES as error:
                self._found[way] = error
        found = self._found[way]
        if isinstance(found, EdgekitError):
            raise found
        return found

    def hops(self, way: Way) -> tuple[Hop, ...]:
        """The hops of ``way`` that were verified; the last may be the one it failed of."""
        reached: tuple[Hop, ...] = ()
        for end in range(len(way) + 1):
            found = self._found.get(way[:end])
            if isinstance(found, WrongAnswersError):
                return (*reached, found.hop)
            if not isinstance(found, Reached):
                break
            reached = found.hops
        return reached

    def _cross(self, before: Reached, way: Way) -> Reached:
        run, name = self._run, way[-1]
        direct = len(way) == 1 and BRIDGES[name].produces is ModelKind.FLOAT_TFLITE
        with run.stage("float graph" if direct else f"float graph: {way_text(way)}") as stage:
            crossing = cross(
                name,
                before.model,
                self._samples,
                threads=run.threads,
                cache=run.cache,
                progress=run.progress,
                onnx=run.recipe.onnx,
            )
            stage.cached = crossing.cached
        return Reached(crossing.model, (*before.hops, crossing.hop))


def first_that_holds(run: Run, crossings: Crossings, plan: Plan) -> tuple[Way, Reached]:
    """The first of the plan's ways that converts and verifies, and the model it leads to.

    What failed before it is a warning. Where a way without an isolated environment fails for lack
    of a package, none is made in its stead: installing the package is the smaller step.

    Raises:
        ConversionError, SessionError, MissingError: none holds; every reason is given.
    """
    failed: dict[Way, EdgekitError] = {}
    waiting: list[Way] = []
    lacking = False
    for way in plan.ways:
        needed = environments(way)
        if needed and lacking and not all(map(_is_set_up, needed)):
            waiting.append(way)
            continue
        try:
            reached = crossings.over(way)
        except FAILURES as error:
            failed[way] = error
            lacking |= isinstance(error, MissingError) and not needed
            continue
        for other, why in failed.items():
            run.warn(f"{way_text(other)} failed, so {way_text(way)} was taken: {why.message}")
        return way, reached
    raise _no_way(plan, failed, waiting)


def nothing_left(
    heading: str,
    failed: Mapping[str, EdgekitError],
    tried: Iterable[Way],
    offers: Sequence[str] = (),
) -> EdgekitError:
    """The error of a run in which all of ``failed`` failed, with every reason; ``offers`` are ways
    out beside the errors' own hints. Bridges on the ways ``tried`` are none."""
    own: dict[str, None] = {}
    bridges: dict[str, None] = {}
    crossed = {name for way in tried for name in way}
    for error in failed.values():
        hint = error.hint
        if isinstance(error, ConversionError):
            hint = error.own_hint
            bridges |= dict.fromkeys(name for name in error.bridges if name not in crossed)
        if hint:
            own[hint] = None
    hint = "\n".join((*own, *offers)) or None
    by_reason: dict[str, list[str]] = {}  # what one converter refuses, its other methods do too
    for name, error in failed.items():
        by_reason.setdefault(error.message, []).append(name)
    if all(isinstance(error, MissingError) for error in failed.values()):
        return MissingError("; ".join(by_reason), hint=hint)
    reasons = "".join(f"\n  {', '.join(names)}: {why}" for why, names in by_reason.items())
    return ConversionError(f"{heading}:{reasons}", hint=hint, bridges=tuple(bridges))


def _no_way(plan: Plan, failed: Mapping[Way, EdgekitError], waiting: Sequence[Way]) -> EdgekitError:
    if not plan.ways:
        return ConversionError(
            f"no bridge leads from this model to {plan.method}",
            hint="Choose another quantize.method or quantize.bridge.",
        )
    offers = [
        f"or set up what does without: edgekit bridge setup {' '.join(environments(way))}, "
        f"then quantize.bridge: {way[-1]}"
        for way in waiting
        if not any(BRIDGES[name].missing for name in way)
    ]
    if len(failed) == 1 and not offers:
        return next(iter(failed.values()))
    named = {way_text(way): error for way, error in failed.items()}
    return nothing_left(f"none of the ways to {plan.method} holds", named, failed, offers)


def _is_set_up(environment: str) -> bool:
    return ready_place(ENVIRONMENTS[environment], shelf_in(None)) is not None
