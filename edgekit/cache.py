"""A content-keyed cache on disk: what was made once from the same inputs is not made again.

::

    <cache folder>/<kind>/<key>/complete.json     written last: size and sha256 of every file
    <cache folder>/<kind>/<key>/files/...         what ``make`` wrote; ``Entry.path``
    <cache folder>/<kind>/.<key>.lock             held while an entry is being made
    <cache folder>/<kind>/.<key>.making/          the entry before its rename into place
    <cache folder>/<kind>/.<key>.steps/           finished steps of long work, see ``make_in_steps``

The kernel drops a lock with the process that holds it, so a ``.making`` folder whose lock is
free was left by a dead process and is removed by the next call.
"""

from __future__ import annotations

import atexit
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Literal

from edgekit.errors import OutputError

CACHE_DIR_VARIABLE = "EDGEKIT_CACHE_DIR"
_MARKER = "complete.json"
_FILES = "files"
_STEPS_KEPT_S = 30 * 24 * 3600
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NO_ROOM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
)


def cache_folder() -> Path:
    """``$EDGEKIT_CACHE_DIR``, else ``$XDG_CACHE_HOME/edgekit``, else ``~/.cache/edgekit``."""
    if own := os.environ.get(CACHE_DIR_VARIABLE):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "edgekit"
    return Path.home() / ".cache" / "edgekit"


def content_key(parts: Mapping[str, Any]) -> str:
    """sha256 (hex) of ``parts`` in a canonical form: the same content gives the same key anywhere.

    Takes None, bool, int, finite float, str, bytes, enums, paths (by their text), lists and
    tuples (alike), mappings with string keys (in any order) and dataclasses (their fields that
    take part in comparison).

    Raises:
        TypeError: any other type, which has no canonical form.
        ValueError: a NaN or an infinity.
    """
    text = json.dumps(_canonical(parts), allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _canonical(value: Any) -> Any:
    """JSON value in which every composite carries its type, so that no two kinds collide."""
    if isinstance(value, Enum):
        return ["enum", type(value).__name__, _canonical(value.value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, PurePath):
        return ["path", value.as_posix()]
    if isinstance(value, list | tuple):
        return ["list", [_canonical(item) for item in value]]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a cache key takes mappings with string keys only")
        return ["map", [[key, _canonical(value[key])] for key in sorted(value)]]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.compare]
        return [
            "dataclass",
            type(value).__name__,
            [[name, _canonical(getattr(value, name))] for name in fields],
        ]
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key")


@dataclass(frozen=True)
class Entry:
    """A complete cache entry: the folder that ``make`` filled, and whether it was there before."""

    path: Path
    cached: bool


class Cache:
    """Entries under ``folder`` (default: ``cache_folder()``).

    With ``enabled=False`` everything is made anew, in a temporary folder that is removed when the
    process ends.
    """

    def __init__(self, folder: Path | None = None, *, enabled: bool = True):
        self._folder = folder
        self.enabled = enabled

    def get_or_make(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], None],
        *,
        check: Literal["sha256", "size"] = "sha256",
    ) -> Entry:
        """The entry ``key`` of ``kind``, made by ``make(folder)`` unless it is there and intact.

        ``make`` fills a fresh empty folder that nobody else sees before it is complete. Processes
        that want the same entry wait for the first one and use what it made. ``check="size"``
        compares only the sizes of an entry's files, for entries whose user checks contents.

        Raises:
            OutputError: the cache folder cannot be written or is full.
            Exception: whatever ``make`` raises; nothing is left behind then.
        """
        for name in (kind, key):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a cache entry")
        if not self.enabled:
            return self._make_uncached(kind, make)
        shelf = (cache_folder() if self._folder is None else self._folder) / kind
        place = shelf / key
        if _is_intact(place, check):
            return Entry(place / _FILES, cached=True)
        with clear_errors(shelf):
            shelf.mkdir(parents=True, exist_ok=True)
            with _locked(shelf / f".{key}.lock"):
                if _is_intact(place, check):
                    return Entry(place / _FILES, cached=True)
                sweep(shelf, own=key)
                _make_entry(shelf / f".{key}.making", place, make)
        return Entry(place / _FILES, cached=False)

    def make_in_steps(self, kind: str, key: str, make: Callable[[Path, Path], None]) -> Entry:
        """As ``get_or_make``, for work that is too long to be done again: ``make(folder, steps)``
        may keep in ``steps`` what it has finished, and finds it there after it was killed.

        What it finds may be damaged; that is for ``make`` to see. The steps go when the entry is
        complete, and a month after they were last worked on.
        """
        if not self.enabled:
            with tempfile.TemporaryDirectory(prefix=f"edgekit-{kind}-") as steps:
                return self.get_or_make(kind, key, lambda folder: make(folder, Path(steps)))
        shelf = (cache_folder() if self._folder is None else self._folder) / kind
        own = shelf / f".{key}.steps"

        def go_on(folder: Path) -> None:
            own.mkdir(exist_ok=True)
            make(folder, own)

        entry = self.get_or_make(kind, key, go_on)
        shutil.rmtree(own, ignore_errors=True)
        return entry

    def _make_uncached(self, kind: str, make: Callable[[Path], None]) -> Entry:
        folder = Path(tempfile.mkdtemp(prefix=f"edgekit-{kind}-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        try:
            make(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Entry(folder, cached=False)


def _make_entry(making: Path, place: Path, make: Callable[[Path], None]) -> None:
    """Fill ``making``, mark it complete and rename it to ``place``. The key's lock is held."""
    shutil.rmtree(making, ignore_errors=True)
    try:
        (making / _FILES).mkdir(parents=True)
        make(making / _FILES)
        marker = {
            path.relative_to(making / _FILES).as_posix(): [path.stat().st_size, file_sha256(path)]
            for path in _files_in(making / _FILES)
        }
        (making / _MARKER).write_text(json.dumps({"files": marker}), encoding="utf-8")
        if place.exists():  # damaged, or it would have been used
            shutil.rmtree(place)
        making.rename(place)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _is_intact(place: Path, check: Literal["sha256", "size"]) -> bool:
    try:
        recorded = json.loads((place / _MARKER).read_text(encoding="utf-8"))["files"]
        for name, (size, digest) in recorded.items():
            path = place / _FILES / name
            if path.stat().st_size != size:
                return False
            if check == "sha256" and file_sha256(path) != digest:
                return False
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False  # absent, or its marker is damaged: made again either way
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def sweep(shelf: Path, *, own: str) -> None:
    """Remove what dead processes left half-made. ``own`` is the key whose lock we hold."""
    month_ago = time.time() - _STEPS_KEPT_S
    left = [*shelf.glob(".*.making")]
    left += [steps for steps in shelf.glob(".*.steps") if steps.stat().st_mtime < month_ago]
    for making in left:
        key = making.name[1:].rpartition(".")[0]
        if key == own:
            continue
        with (shelf / f".{key}.lock").open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its maker is alive
            shutil.rmtree(making, ignore_errors=True)


@contextmanager
def clear_errors(shelf: Path) -> Iterator[None]:
    """Turn a failure to write below ``shelf`` into one clear error."""
    try:
        yield
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if error.filename else shelf
        ours = place == shelf or shelf in place.parents or place in shelf.parents
        if not ours or (error.errno not in _NO_ROOM and shelf.is_dir()):
            raise
        raise OutputError(
            f"the cache folder {shelf} cannot be written: {error.strerror}",
            hint=f"Set {CACHE_DIR_VARIABLE} to a folder with room that you may write to.",
        ) from error
