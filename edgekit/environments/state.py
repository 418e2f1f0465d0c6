"""How the isolated environments of this machine are; and setting them up one by one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

from edgekit.environments.environment import damage, told_damage
from edgekit.environments.make import make
from edgekit.environments.place import ready_place, shelf_in
from edgekit.environments.spec import ENVIRONMENTS, find_environment
from edgekit.progress import Progress

State = Literal["ready", "damaged", "not set up"]


@dataclass(frozen=True)
class EnvironmentFact:
    """One environment. ``size_bytes`` is what it takes, about what it will take where it is not
    set up; ``why`` says what is damaged; ``set_up`` is the command that makes it ready."""

    name: str
    summary: str
    state: State
    size_bytes: int
    path: str | None
    why: str | None
    set_up: str


@dataclass(frozen=True)
class SetUp:
    """What ``set_up`` did. ``seconds`` and ``size_bytes`` are those of the environment."""

    name: str
    made: bool
    seconds: float
    size_bytes: int


def environment_facts(cache_folder: Path | None = None) -> tuple[EnvironmentFact, ...]:
    """Every environment, by what lies on disk: nothing is started, so a change inside a package
    is not seen."""
    return tuple(_fact(name, shelf_in(cache_folder)) for name in ENVIRONMENTS)


def set_up(name: str, progress: Progress, cache_folder: Path | None = None) -> SetUp:
    """Make the environment called ``name`` unless it is there and whole, file by file.

    Raises:
        UsageError: there is no such environment.
        MissingError: it cannot be made; nothing is left behind.
        OutputError: the cache folder cannot be written.
    """
    spec, shelf, begin = find_environment(name), shelf_in(cache_folder), monotonic()
    place, mark = ready_place(spec, shelf), None
    if place is not None:
        mark = place.mark()
        with (
            tempfile.TemporaryDirectory(prefix="edgekit-") as folder,
            progress.task(f"Checking {spec.name}"),
        ):
            damaged = damage(place, Path(folder))
        if not damaged:
            return SetUp(spec.name, False, monotonic() - begin, place.size_bytes)
        progress.warn(f"{told_damage(spec.name, damaged)}, so it is made again")
    place = make(spec, shelf, progress, instead_of=mark)
    return SetUp(spec.name, True, monotonic() - begin, place.size_bytes)


def _fact(name: str, shelf: Path) -> EnvironmentFact:
    spec = ENVIRONMENTS[name]
    command = f"edgekit bridge setup {name}"
    place = ready_place(spec, shelf)
    if place is None:
        return EnvironmentFact(
            name, spec.summary, "not set up", spec.size_bytes, None, None, command
        )
    gone = place.gone()
    state: State = "damaged" if gone else "ready"
    why = f"gone: {', '.join(gone)}" if gone else None
    return EnvironmentFact(
        name, spec.summary, state, place.size_bytes, str(place.path), why, command
    )
