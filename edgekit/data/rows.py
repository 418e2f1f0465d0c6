"""Which rows of the files of a manifest have which role, and in what order they are taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.data.dataset import split
from edgekit.errors import DataError
from edgekit.types import Role

Span = tuple[int, int | None]
"""First row and the one after the last, from 0; ``None``: to the end of the file."""

_CLOSER_TO_THE_VERDICT: dict[Role, tuple[Role, ...]] = {
    Role.EVAL: (),
    Role.DEV: (Role.EVAL,),
    Role.CALIBRATION: (Role.EVAL, Role.DEV),
}


@dataclass(frozen=True)
class RowRoles:
    """The spans of one file by role; ``None``: its rows are split by content, see ``split``."""

    spans: Mapping[Role, tuple[Span, ...]] | None

    def concern(self, role: Role) -> bool:
        """Whether the file must be read to know the rows of ``role``: it has some, or some of a
        role that ``role`` gives way to."""
        roles = (role, *_CLOSER_TO_THE_VERDICT[role])
        return self.spans is None or any(known in self.spans for known in roles)


@dataclass(frozen=True)
class FileRows:
    """What is known of every row of a file: sha256 of its content (``None`` for a broken row,
    which has no role), and its class if it has one."""

    name: str
    hashes: Sequence[str | None]
    labels: Sequence[Hashable]
    roles: RowRoles


@dataclass(frozen=True)
class Picked:
    """The rows of one role as ``(file, row)``; any first part of them is a fair sample.

    ``repeated`` counts the rows left out because a role closer to the verdict has their content:
    eval keeps what it shares with dev or calibration, dev what it shares with calibration.
    """

    rows: tuple[tuple[int, int], ...]
    repeated: int


def pick(files: Sequence[FileRows], role: Role, samples: int | None) -> Picked:
    """The rows of ``role``, at most ``samples`` of them (``None``: all).

    ``files`` are all that concern the role, see ``RowRoles.concern``.

    Raises:
        DataError: a span that a file does not have.
    """
    elsewhere = {
        files[file].hashes[row]
        for other in _CLOSER_TO_THE_VERDICT[role]
        for file, row in _with_role(files, other)
    }
    mine = _with_role(files, role)
    own = [(file, row) for file, row in mine if files[file].hashes[row] not in elsewhere]
    return Picked(tuple(_spread(files, own)[:samples]), len(mine) - len(own))


def _with_role(files: Sequence[FileRows], role: Role) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    to_split: list[tuple[int, int]] = []
    for index, file in enumerate(files):
        if file.roles.spans is None:
            to_split += [(index, row) for row, sha in enumerate(file.hashes) if sha is not None]
            continue
        for first, end in file.roles.spans.get(role, ()):
            if first >= len(file.hashes) or (end or 0) > len(file.hashes):
                raise DataError(
                    f"{file.name} has {len(file.hashes)} rows, but its manifest gives "
                    f"{role.value} those from {first} to {'the last' if end is None else end}"
                )
            own = range(first, len(file.hashes) if end is None else end)
            found += [(index, row) for row in own if file.hashes[row] is not None]
    hashes = [files[file].hashes[row] or "" for file, row in to_split]
    return found + list(split(to_split, hashes, role))


def _spread(files: Sequence[FileRows], rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In an order that content decides, and in which each class comes as often as it is there."""
    by_class: dict[Hashable, list[tuple[str, tuple[int, int]]]] = defaultdict(list)
    for file, row in rows:
        content = files[file].hashes[row] or ""
        by_class[files[file].labels[row]].append((content, (file, row)))
    placed = [
        ((rank + 0.5) / len(group), content, place)
        for group in by_class.values()
        for rank, (content, place) in enumerate(sorted(group))
    ]
    return [place for _, _, place in sorted(placed)]
