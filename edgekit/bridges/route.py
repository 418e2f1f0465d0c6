"""Which bridges lead from a source model to what a method accepts."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from edgekit.bridges import BRIDGES
from edgekit.types import ModelKind


def find_route(
    start: ModelKind, accepted: Collection[ModelKind], bridge: str = "first"
) -> tuple[str, ...] | None:
    """Names of the fewest bridges to cross; ``()`` if none is needed, ``None`` if none leads there.

    ``bridge`` restricts the last hop to that bridge; ``"first"`` and ``"auto"`` leave it open.
    """
    if start in accepted and bridge in ("first", "auto"):
        return ()
    waiting: deque[tuple[ModelKind, tuple[str, ...]]] = deque([(start, ())])
    seen = {start}
    while waiting:
        kind, route = waiting.popleft()
        for name, entry in BRIDGES.items():
            if kind not in entry.accepts:
                continue
            if entry.produces in accepted and bridge in ("first", "auto", name):
                return (*route, name)
            if entry.produces not in seen:
                seen.add(entry.produces)
                waiting.append((entry.produces, (*route, name)))
    return None
