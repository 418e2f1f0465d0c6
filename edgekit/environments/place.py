"""Where environments lie on disk, whether one is there, and who is using it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from edgekit.cache import cache_folder, clear_errors
from edgekit.environments.spec import EnvironmentSpec
from edgekit.errors import OutputError
from edgekit.progress import Progress

SHELF = "environments"
_MARKER = "environment.json"
_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Place:
    """The folder of one environment, there or not. ``version`` is that of its Python."""

    spec: EnvironmentSpec
    shelf: Path
    version: str

    @property
    def name(self) -> str:
        return f"{self.spec.name}-{self.spec.key(self.version)}"

    @property
    def path(self) -> Path:
        return self.shelf / self.name

    @property
    def making(self) -> Path:
        return self.shelf / f".{self.name}.making"

    @property
    def lock(self) -> Path:
        return self.shelf / f".{self.name}.lock"

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def is_there(self) -> bool:
        """Whether it was made completely and its Python can be started, as far as one sees."""
        return self.mark() is not None and os.access(self.python, os.X_OK)

    def mark(self) -> str | None:
        """What was written when it was complete; another making writes another mark."""
        try:
            return (self.path / _MARKER).read_text(encoding="utf-8")
        except OSError:
            return None

    @property
    def size_bytes(self) -> int:
        """On disk when it was made; 0 where that is not known."""
        try:
            return int(json.loads(self.mark() or "{}")["size_bytes"])
        except (ValueError, KeyError, TypeError):
            return 0

    def gone(self) -> tuple[str, ...]:
        """Packages of the lock that are not installed any more; nothing is started to see it."""
        site = self.path / "lib" / f"python{self.version}" / "site-packages"
        found = {
            _canonical(distribution.metadata["Name"] or ""): distribution.version
            for distribution in metadata.distributions(path=[str(site)])
        }
        pins = self.spec.packages.items()
        return tuple(name for name, version in pins if found.get(_canonical(name)) != version)


def write_mark(folder: Path, *, size_bytes: int, seconds: float) -> None:
    """Say that the environment in ``folder`` is complete."""
    fields = {"size_bytes": size_bytes, "seconds": round(seconds, 1), "maker": os.getpid()}
    (folder / _MARKER).write_text(json.dumps(fields), encoding="utf-8")


def shelf_in(folder: Path | None) -> Path:
    """Where the environments of a cache folder (default: ``cache_folder()``) are."""
    return (cache_folder() if folder is None else folder) / SHELF


def places(spec: EnvironmentSpec, shelf: Path) -> tuple[Place, ...]:
    """One per Python that can make it; that of edgekit itself first."""
    own_first = sorted(spec.pythons, key=lambda version: version != _OWN_VERSION)
    return tuple(Place(spec, shelf, version) for version in own_first)


def ready_place(spec: EnvironmentSpec, shelf: Path) -> Place | None:
    """The environment, if it is there."""
    return next((place for place in places(spec, shelf) if place.is_there), None)


@contextmanager
def alone(place: Place, progress: Progress, doing: str) -> Iterator[BinaryIO]:
    """Hold the lock of ``place`` alone; who has to wait says so, ``doing`` in its words.

    Raises:
        OutputError: the cache folder cannot be written.
    """
    with ExitStack() as stack:
        with clear_errors(place.shelf):
            place.shelf.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(place.lock.open("ab"))
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"{place.spec.name} is in use by another process: waiting {doing}")
            with progress.task(f"Waiting for another process with {place.spec.name}"):
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


@contextmanager
def shared(place: Place) -> Iterator[None]:
    """Keep others from removing or repairing ``place`` meanwhile.

    A cache that cannot be written is not changed by others either: nothing is held there.
    """
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(place.lock.open("ab"))
        except OSError:
            pass
        else:
            fcntl.flock(stream, fcntl.LOCK_SH)
        yield


def remove(name: str, shelf: Path) -> int:
    """Remove every environment called ``name``, of older locks too; returns the freed bytes.

    Raises:
        OutputError: one is in use by another process, or cannot be removed.
    """
    named = re.compile(rf"\.?({re.escape(name)}-[0-9a-f]{{16}})(?:\.making)?")
    freed = 0
    for folder in sorted(shelf.iterdir()) if shelf.is_dir() else ():
        match = named.fullmatch(folder.name)
        if match is None or not folder.is_dir():
            continue
        with clear_errors(shelf), (shelf / f".{match[1]}.lock").open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"{name} is in use by another process, so it was not removed",
                    hint="Try again when that has ended.",
                ) from None
            freed += _remove(folder, shelf / f".{match[1]}.making")
    return freed


def _remove(folder: Path, aside: Path) -> int:
    size_bytes = size_on_disk(folder)
    if folder != aside:  # whole or not there: never half an environment under its own name
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    shutil.rmtree(aside)
    return size_bytes


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in ``folder``; links are not followed."""
    return sum(
        os.lstat(os.path.join(place, name)).st_size
        for place, _, names in os.walk(folder)
        for name in names
    )


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
