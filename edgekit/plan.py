"""What a run is to try: each candidate is a way over the bridges and a method at its end."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bridges.route import AUTO as EVERY_WAY
from edgekit.bridges.route import Way, find_ways, way_text
from edgekit.methods import AUTO as EVERY_METHOD
from edgekit.methods import METHODS, candidates
from edgekit.recipe.schema import QuantizeSpec
from edgekit.types import ModelKind


@dataclass(frozen=True)
class Plan:
    """One candidate: of ``ways`` the first that holds is taken, then ``method``.

    ``slug`` is the name as a file's may be.
    """

    name: str
    method: str
    ways: tuple[Way, ...]
    slug: str


@dataclass(frozen=True)
class Plans:
    """All that is to be tried, in the order in which it counts; one where nothing is left open.

    ``of`` is what the plans differ in: ``"method"``, ``"bridge"`` or ``"way"`` (both).
    """

    of: str
    plans: tuple[Plan, ...]

    @property
    def key(self) -> str:
        """The key under ``quantize`` that leaves it open."""
        return "method" if self.of == "method" else "bridge"


def make_plans(kind: ModelKind, options: QuantizeSpec) -> Plans:
    """What ``options`` leave open for a source model of ``kind``. A method that no bridge leads to
    has a plan without ways, which fails with that as its reason."""
    methods = _methods(kind, options)
    found = {name: find_ways(kind, METHODS[name].accepts, options.bridge) for name in methods}
    if options.bridge != EVERY_WAY:
        return Plans("method", tuple(Plan(name, name, found[name], name) for name in methods))
    several = len(methods) > 1
    plans = tuple(
        _plan(name, way, several=several) for name in methods for way in found[name]
    ) or tuple(Plan(name, name, (), name) for name in methods)
    return Plans("way" if several else "bridge", plans)


def _plan(method: str, way: Way, *, several: bool) -> Plan:
    """Named by the way; by the method too where there are several."""
    slug = "-".join((method, *way) if several else way) or method
    if not several:
        return Plan(way_text(way), method, (way,), slug)
    return Plan(f"{method} by {way_text(way)}" if way else method, method, (way,), slug)


def _methods(kind: ModelKind, options: QuantizeSpec) -> tuple[str, ...]:
    """The method that the recipe names, or all that auto tries with its model."""
    if options.method != EVERY_METHOD:
        return (options.method,)
    return candidates(kind, options.bridge) or candidates(kind)
