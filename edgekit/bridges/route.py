"""Which ways lead over the bridges from a source model to what a method accepts."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edgekit.bridges import BRIDGES
from edgekit.types import ModelKind

Way = tuple[str, ...]
"""Names of the bridges to cross, in order; ``()`` where none is needed."""

FIRST, AUTO = "first", "auto"
"""Values of ``quantize.bridge`` that leave open which bridges are crossed."""
MAX_BRIDGES = 3
FAMILIES: dict[ModelKind, str] = {
    ModelKind.TORCH_MODULE: "pytorch",
    ModelKind.EXPORTED_PROGRAM: "pytorch",
    ModelKind.TORCHSCRIPT: "pytorch",
    ModelKind.KERAS: "tensorflow",
    ModelKind.SAVED_MODEL: "tensorflow",
    ModelKind.CONCRETE_FUNCTION: "tensorflow",
    ModelKind.ONNX: "onnx",
    ModelKind.FLOAT_TFLITE: "tflite",
}
"""The framework that a kind belongs to. A way that comes back to one it left gains nothing."""


def find_ways(
    start: ModelKind, accepted: Collection[ModelKind], bridge: str = FIRST
) -> tuple[Way, ...]:
    """Every way to the first accepted kind on it, in the order in which they are to be tried.

    Without an isolated environment first, then the fewest bridges, then the table's order; at most
    ``MAX_BRIDGES``. ``bridge`` restricts the last hop to that bridge; ``"first"`` and ``"auto"``
    leave it open, and a model of an accepted kind then needs no bridge at all.
    """
    if start in accepted and bridge in (FIRST, AUTO):
        return ((),)
    order = list(BRIDGES)
    found = [
        way for way in _walk((start,), (), accepted) if bridge in (FIRST, AUTO) or way[-1] == bridge
    ]
    return tuple(
        sorted(
            found,
            key=lambda way: (
                bool(environments(way)),
                len(way),
                [order.index(name) for name in way],
            ),
        )
    )


def find_route(
    start: ModelKind, accepted: Collection[ModelKind], bridge: str = FIRST
) -> Way | None:
    """The way that is tried first; ``None`` if none leads there."""
    return next(iter(find_ways(start, accepted, bridge)), None)


def environments(way: Way) -> tuple[str, ...]:
    """The isolated environments that ``way`` converts in."""
    names = (BRIDGES[name].environment for name in way)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def way_text(way: Way) -> str:
    """``way`` for people."""
    return ", ".join(way) if way else "no bridge"


def _walk(seen: tuple[ModelKind, ...], way: Way, accepted: Collection[ModelKind]) -> Iterator[Way]:
    """The ways that go on from the last kind of ``seen``."""
    if len(way) == MAX_BRIDGES:
        return
    for name, entry in BRIDGES.items():
        kind = entry.produces
        if seen[-1] not in entry.accepts or kind in seen or _returns(seen, kind):
            continue
        if kind in accepted:
            yield (*way, name)
        else:
            yield from _walk((*seen, kind), (*way, name), accepted)


def _returns(seen: tuple[ModelKind, ...], kind: ModelKind) -> bool:
    """Whether ``kind`` belongs to a framework that was left on the way."""
    family = FAMILIES[kind]
    return family != FAMILIES[seen[-1]] and any(FAMILIES[earlier] == family for earlier in seen)
