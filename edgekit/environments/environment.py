"""Where a worker runs: in an isolated venv, or by this very Python in tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgekit.environments.child import BrokenEnvironmentError, Call, run_worker
from edgekit.environments.make import make, probe
from edgekit.environments.place import Place, ready_place, shared, shelf_in
from edgekit.environments.spec import WORKERS, find_environment
from edgekit.errors import WorkerError
from edgekit.progress import Progress


class Environment(Protocol):
    """Runs workers."""

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        """Run ``workers/<worker>.py`` on ``request`` (JSON values and paths); its answer.

        Its working folder is a fresh one in ``folder``, gone afterwards: what is to stay, it
        writes to a path in the request. It gets no network. ``timeout_s`` gives way to
        ``$EDGEKIT_BRIDGE_TIMEOUT_S``.

        Raises:
            WorkerError: it refused, failed, crashed, took too long or answered with garbage.
            MissingError: the environment was damaged and could not be made again.
        """


@dataclass(frozen=True)
class LocalEnvironment:
    """The twin of an environment that needs none: workers in a folder, run by this Python."""

    workers: Path
    name: str = "local"

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        """See ``Environment.run``."""
        script = self.workers / f"{worker}.py"
        call = Call(self.name, Path(sys.executable), script, request, folder, timeout_s)
        return run_worker(call)


@dataclass(frozen=True)
class VenvEnvironment:
    """The venv at ``place``. One that turns out to be damaged is made again, once."""

    place: Place
    progress: Progress

    def run(
        self, worker: str, request: Mapping[str, Any], *, folder: Path, timeout_s: float
    ) -> Mapping[str, Any]:
        """See ``Environment.run``."""
        name = self.place.spec.name
        script = WORKERS / f"{worker}.py"
        call = Call(name, self.place.python, script, request, folder, timeout_s)
        mark = self.place.mark()
        try:
            with shared(self.place):
                return run_worker(call)
        except BrokenEnvironmentError as error:
            if not (damaged := damage(self.place, folder)):
                raise  # a library of the system that is missing: no new venv would help
            self.progress.warn(
                f"{told_damage(name, damaged)}, so it is made again ({error.message})"
            )
            make(self.place.spec, self.place.shelf, self.progress, instead_of=mark)
        with shared(self.place):
            return run_worker(call)


def open_environment(
    name: str, progress: Progress, cache_folder: Path | None = None
) -> VenvEnvironment:
    """The isolated environment called ``name``, made if it is not there.

    Raises:
        UsageError: there is no such environment.
        MissingError: it cannot be made; nothing is left behind.
        OutputError: the cache folder cannot be written.
    """
    spec, shelf = find_environment(name), shelf_in(cache_folder)
    place = ready_place(spec, shelf) or make(spec, shelf, progress)
    return VenvEnvironment(place, progress)


def damage(place: Place, folder: Path) -> dict[str, str]:
    """What is wrong with the venv at ``place``, by package; empty when it is whole."""
    if not place.is_there:
        return {"python": "it does not start"}
    try:
        with shared(place):
            return probe(place.spec, place.python, folder, imports=False)
    except WorkerError as error:
        return {"python": error.message}


def told_damage(name: str, damaged: Mapping[str, str]) -> str:
    """What ``damage`` found, for people."""
    package, why = next(iter(damaged.items()))
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    return f"the isolated environment {name} is damaged ({package}: {why}{more})"
