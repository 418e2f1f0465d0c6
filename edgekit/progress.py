"""How long work reports itself. Rooms call this seam; the command line draws it on stderr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Task(Protocol):
    """One running piece of work."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more of the total are done."""


class Progress(Protocol):
    """Receives tasks and notes. ``total`` is ``None`` where the length is unknown."""

    def task(self, description: str, total: int | None = None) -> AbstractContextManager[Task]:
        """Open a task; closing the context ends it."""

    def note(self, message: str) -> None:
        """A line worth reading that is not an error: a fallback, an assumption, a cache hit."""

    def warn(self, message: str) -> None:
        """A named warning; also recorded in the report by whoever raises it."""


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        return None


class SilentProgress:
    """The default of the Python API: says nothing."""

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        yield _SilentTask()

    def note(self, message: str) -> None:
        return None

    def warn(self, message: str) -> None:
        return None


def track(items: Iterable[T], task: Task) -> Iterator[T]:
    """Yield ``items``, advancing ``task`` by one after each was used."""
    for item in items:
        yield item
        task.advance()
