"""The nearest valid name to one that is wrong."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(wrong: str, known: Iterable[str]) -> str | None:
    """``did you mean 'samples'?``, or the whole choice where nothing is near; ``None`` if empty."""
    names = list(known)
    near = nearest(wrong, names)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"known here: {', '.join(names)}" if names else None


def nearest(wrong: str, known: Iterable[str]) -> list[str]:
    """The names fewest edits away from ``wrong``, ties included; none if all are far.

    Far is more edits than a third of the longer word (at least one edit is always near).
    """
    distances = {name: _edits(wrong.casefold(), name.casefold()) for name in known}
    best = min(distances.values(), default=0)
    return [
        name
        for name, distance in distances.items()
        if distance == best and distance <= max(1, max(len(name), len(wrong)) // 3)
    ]


def _edits(a: str, b: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours that turn ``a`` into ``b``."""
    if abs(len(a) - len(b)) > 20:
        return max(len(a), len(b))
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if last and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
