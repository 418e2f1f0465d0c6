"""Ctrl-C that cannot be lost.

Python drops an exception that is raised inside a destructor or a callback of the garbage
collector, and converters keep those busy for seconds: a Ctrl-C that falls there is forgotten, or
comes out of native code as another error. So it is written down as well; the next step of the
work raises it again, and whatever ends the command then is that Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from edgekit.progress import Progress, Task

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_HANDLED = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
_stopped = False
_tell_of_others = sys.unraisablehook


def install() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal unwind the stack, so that temporary files go.

    A signal that is ignored, or handled by somebody else, stays so.
    """
    global _stopped, _tell_of_others
    _stopped = False
    for number, default in _HANDLED.items():
        if signal.getsignal(number) == default:
            signal.signal(number, _stop)
    if sys.unraisablehook is not _tell_of_dropped:
        _tell_of_others = sys.unraisablehook
        sys.unraisablehook = _tell_of_dropped


def _stop(signum: int, frame: object) -> NoReturn:
    global _stopped
    _stopped = True
    raise KeyboardInterrupt


def _tell_of_dropped(dropped: UnraisableHookArgs) -> None:
    # Ours is not lost, so a page about a Ctrl-C that was ignored would be wrong.
    if not (_stopped and issubclass(dropped.exc_type, KeyboardInterrupt)):
        _tell_of_others(dropped)


def stopped() -> bool:
    """Whether a signal came."""
    return _stopped


def settle() -> None:
    """Have the interpreter end with the exit code that it is given.

    CPython notes a KeyboardInterrupt that leaves a string of code (``exec``, by which torch and
    dataclasses make functions), caught later or not, and under ``python -m`` kills itself with
    SIGINT at its end. The note is taken back whenever another string begins.
    """
    exec("")


def check() -> None:
    """Raise what was dropped."""
    if _stopped:
        raise KeyboardInterrupt


class _CheckedTask:
    def __init__(self, task: Task):
        self._task = task

    def advance(self, steps: int = 1) -> None:
        check()
        self._task.advance(steps)


class CheckedProgress:
    """Passes everything on, and checks wherever work says that it goes on."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self.note = progress.note
        self.warn = progress.warn

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        check()
        with self._progress.task(description, total) as task:
            yield _CheckedTask(task)
            check()
