"""A run is written into a hidden sibling of its folder and renamed when it is complete.

A run that dies, however, leaves nothing that looks finished; what it did leave is removed by the
next run to the same place. Two runs at one place: the second is refused at once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgekit.errors import OutputError

RUNS = Path("runs")


def default_folder(recipe: str, key: str, now: datetime | None = None) -> Path:
    """``runs/<recipe>/<UTC time>-<short hash>``; ``key`` is the content key of the run's inputs."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return RUNS / recipe / f"{stamp}-{key[:7]}"


@contextmanager
def run_folder(final: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield the folder to write into; it becomes ``final`` when the block ends without an error.

    With ``force`` an existing ``final`` is replaced, and only once the new one is complete.

    Raises:
        OutputError: ``final`` exists and is not empty, cannot be written, or another run writes it.
    """
    final = Path(os.path.abspath(final))
    _check_free(final, force)
    partial = final.parent / f".{final.name}.partial"
    lock_file = final.parent / f".{final.name}.lock"
    with _explained(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_file.open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing to {final}",
                hint="Wait for it, or give another folder with --out.",
            ) from error
        try:
            with _explained(final):
                shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
                partial.mkdir()
                yield partial
                _check_free(final, force)
                _replace(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            lock_file.unlink(missing_ok=True)


def _check_free(final: Path, force: bool) -> None:
    if final.exists() and not final.is_dir():
        raise OutputError(f"{final} is a file; a run needs a folder", hint="Give another --out.")
    if not force and final.is_dir() and any(final.iterdir()):
        raise OutputError(
            f"{final} already holds files",
            hint="Give another folder with --out, or --force to replace it.",
        )


def _replace(partial: Path, final: Path) -> None:
    if not final.exists():
        partial.rename(final)
        return
    old = final.parent / f".{final.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(final: Path) -> Iterator[None]:
    """An ``OSError`` below the run folder, said in the user's terms."""
    try:
        yield
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if error.filename else final
        if error.filename and final.parent != place and final.parent not in place.parents:
            raise
        raise OutputError(
            f"cannot write the run to {final}: {error.strerror or error}",
            hint="Free some space or give a folder you can write to with --out.",
        ) from error
