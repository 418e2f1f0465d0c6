"""A run is written into a hidden sibling of its folder and renamed when it is complete.

::

    .<name>.partial/   the run while it is being written
    .<name>.lock       held meanwhile; the kernel drops it with the process
    .<name>.old/       what --force replaces, for the moment between two renames

A run that dies leaves nothing that looks finished; what it did leave is removed by the next run
beside it. Two runs at one place: the second is refused at once.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from edgekit.errors import OutputError

RUNS = Path("runs")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def default_folder(recipe: str, key: str, now: datetime | None = None) -> Path:
    """``runs/<recipe>/<UTC time>-<short hash>``; ``key`` is the content key of the run's inputs."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return RUNS / recipe / f"{stamp}-{key[:7]}"


@contextmanager
def run_folder(final: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield the folder to write into; it becomes ``final`` when the block ends without an error.

    With ``force`` an existing ``final`` is replaced, and only once the new one is complete. Where
    ``final`` is a symbolic link, the run goes where it leads.

    Raises:
        OutputError: ``final`` exists and is not empty, cannot be written, or another run writes it.
    """
    with _explained(final):
        final = Path(os.path.realpath(final))
        _check_place(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final.parent)
        lock = _lock(_beside(final, "lock"))
    if lock is None:
        raise OutputError(
            f"another run is writing to {final}",
            hint="Wait for it, or give another folder with --out.",
        )
    partial = _beside(final, "partial")
    with lock:
        try:
            with _explained(final):
                _check_free(final, force)
                partial.mkdir()
            with _explained(final, only_below=partial):
                yield partial
            with _explained(final):
                _check_place(final)
                _check_free(final, force)
                _replace(partial, final)
        finally:
            _clear(final)


def _beside(final: Path, what: str) -> Path:
    return final.parent / f".{final.name}.{what}"


def _check_place(final: Path) -> None:
    """Refuse what a run can never become, before anything is made."""
    for place in (final, *final.parents):
        try:
            mode = place.stat().st_mode  # once: another run may be renaming it
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(mode):
            raise OutputError(
                f"{place} is a file; a run needs a folder", hint="Give another folder with --out."
            )
    # These cannot be renamed, or would leave the shell in a removed folder.
    if os.path.ismount(final) or Path.cwd().is_relative_to(final):
        what = "a mount point" if os.path.ismount(final) else "the working folder or above it"
        raise OutputError(
            f"{final} is {what}, which a run cannot replace",
            hint=f"Give a folder in it, e.g. --out {final / 'run'}",
        )


def _check_free(final: Path, force: bool) -> None:
    """Refuse to replace files that are not to be replaced. The lock is held."""
    if not final.is_dir() or not any(final.iterdir()):
        return
    if not force:
        raise OutputError(
            f"{final} already holds files",
            hint="Give another folder with --out, or --force to replace it.",
        )
    if not _is_run(final):
        raise OutputError(
            f"{final} is not a run folder, so --force does not replace it",
            hint="Give another folder with --out, or remove that one yourself.",
        )


def _is_run(folder: Path) -> bool:
    """Whether edgekit wrote ``folder``: a complete run has a manifest of ours."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and "edgekit" in manifest and "outputs" in manifest


def _lock(file: Path) -> IO[bytes] | None:
    """The lock at ``file``, or ``None`` where another run holds it. Removing ``file`` frees it."""
    while True:
        stream = file.open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed it after we opened it: then it locks nothing.
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(file)):
                return stream
        except BlockingIOError:
            stream.close()
            return None
        except FileNotFoundError:
            pass
        stream.close()


def _replace(partial: Path, final: Path) -> None:
    if final.exists():
        final.rename(_beside(final, "old"))
    partial.rename(final)


def _clear(final: Path) -> None:
    """Remove what a run to ``final`` left beside it, and its lock last. The lock is held."""
    old = _beside(final, "old")
    if old.is_dir() and not final.exists():  # it was stopped between two renames
        old.rename(final)
    for left in (old, _beside(final, "partial")):
        shutil.rmtree(left, ignore_errors=True)
    _beside(final, "lock").unlink(missing_ok=True)


def _sweep(parent: Path) -> None:
    """Clear after runs that were killed: their locks are free."""
    for file in parent.glob(".*.lock"):
        final = parent / file.name.removeprefix(".").removesuffix(".lock")
        if not any(_beside(final, what).is_dir() for what in ("partial", "old")):
            continue  # another program's lock
        lock = _lock(file)
        if lock is not None:
            with lock:
                _clear(final)


@contextmanager
def _explained(final: Path, *, only_below: Path | None = None) -> Iterator[None]:
    """An ``OSError`` said in the user's terms; ``only_below`` lets pass what is about other files.

    A full disk has no file name, and is the run's.
    """
    try:
        yield
    except OSError as error:
        if only_below is not None and not _is_about(error, only_below):
            raise
        raise OutputError(
            f"cannot write the run to {final}: {error.strerror or error}",
            hint="Free some space or give a folder you can write to with --out.",
        ) from error


def _is_about(error: OSError, folder: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if not names:
        return error.errno in _NO_ROOM
    return any(Path(os.fsdecode(name)).is_relative_to(folder) for name in names)
