"""Where words go: results to stdout, progress and remarks to stderr.

On a terminal a task that lasts draws a bar and, when done, leaves one line with its time. Anywhere
else there are no bars and no control codes, only notes and warnings, a line each.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from edgekit.progress import Progress, SilentProgress, Task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

BAR_DELAY_S = 0.7
"""A task that is over sooner draws nothing."""
PLAIN_DELAY_S = 3.0
"""Where there are no bars, a task that lasts longer is named once."""
NARROW_COLUMNS = 60
"""Below this width the count stands without a bar."""
PIPED_COLUMNS = 120
"""Width of a table that goes to a file or a pipe."""


def make_progress(quiet: bool) -> Progress:
    """Progress on stderr: bars on a terminal, plain remarks elsewhere; ``quiet`` keeps warnings."""
    if quiet:
        return QuietProgress()
    return BarProgress() if _can_draw(sys.stderr) else PlainProgress()


def stdout_console() -> Console:
    """The rich console for results; without a terminal it is wide and without colour."""
    from rich.console import Console

    width = None if _can_draw(sys.stdout) or "COLUMNS" in os.environ else PIPED_COLUMNS
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)


def styled(text: str, stream: TextIO, **style: Any) -> str:
    """``text`` in colour where ``stream`` is a terminal that wants it."""
    if os.environ.get("NO_COLOR") or not _can_draw(stream):
        return text
    import click

    return click.style(text, **style)


def _can_draw(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class PlainProgress(SilentProgress):
    """Remarks, one line each; a task says that it is under way when it lasts."""

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        timer = threading.Timer(PLAIN_DELAY_S, self.note, (f"{description} ...",))
        timer.daemon = True
        timer.start()
        try:
            with super().task(description, total) as task:
                yield task
        finally:
            timer.cancel()

    def note(self, message: str) -> None:
        print(f"note: {message}", file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        label = styled("warning:", sys.stderr, fg="yellow")
        print(f"{label} {message}", file=sys.stderr, flush=True)


class QuietProgress(PlainProgress):
    """Warnings only."""

    def note(self, message: str) -> None:
        return None


class _BarTask:
    """A task before, while and after it has a bar. Touched only under its owner's lock."""

    def __init__(self, owner: BarProgress, description: str, total: int | None):
        self._owner = owner
        self.description = description
        self.total = total
        self.done = 0
        self.bar: Any = None
        self.over = False
        self.started_at = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._owner.advance(self, steps)


class BarProgress:
    """Bars by rich, which is imported by the first task that lasts.

    They are drawn on a duplicate of stderr's descriptor, which stays the terminal while
    ``edgekit.capture`` keeps a converter's output away from the original.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        self._bars: RichProgress | None = None

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        task = _BarTask(self, description, total)
        timer = threading.Timer(BAR_DELAY_S, self._show, (task,))
        timer.daemon = True
        timer.start()
        try:
            yield task
        except BaseException:
            self._end(task, finished=False)
            raise
        else:
            self._end(task, finished=True)
        finally:
            timer.cancel()

    def note(self, message: str) -> None:
        self._say("note:", None, message)

    def warn(self, message: str) -> None:
        self._say("warning:", "yellow", message)

    def advance(self, task: _BarTask, steps: int) -> None:
        with self._lock:
            task.done += steps
            if task.bar is not None and self._bars is not None:
                self._bars.update(task.bar, completed=task.done)

    def _show(self, task: _BarTask) -> None:
        with self._lock:
            if task.over:
                return
            if self._bars is None:
                self._bars = _rich_bars(self._terminal)
                self._bars.start()
            task.bar = self._bars.add_task(task.description, total=task.total, completed=task.done)
            self._bars.tasks[-1].start_time = task.started_at

    def _end(self, task: _BarTask, *, finished: bool) -> None:
        with self._lock:
            task.over = True
            if task.bar is None or self._bars is None:
                return
            self._bars.remove_task(task.bar)
            if not self._bars.tasks:
                self._bars.stop()
                self._bars = None
        if finished:
            seconds = time.monotonic() - task.started_at
            self._say("done:", "green", f"{task.description}, {seconds:.1f} s")

    def _say(self, label: str, colour: str | None, message: str) -> None:
        with self._lock:
            line = f"{styled(label, sys.stderr, fg=colour)} {message}"
            if self._bars is None:
                print(line, file=self._terminal, flush=True)
            else:
                from rich.text import Text

                self._bars.console.print(Text.from_ansi(line), soft_wrap=True)


def _rich_bars(terminal: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Task as RichTask
    from rich.table import Column
    from rich.text import Text

    class Count(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")

    console = Console(file=terminal, highlight=False, markup=False, emoji=False)
    narrow = console.width < NARROW_COLUMNS
    name = TextColumn(
        "{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)
    )
    bar = [] if narrow else [BarColumn(bar_width=24)]
    # Transient: a bar never stays behind, neither after its task nor after Ctrl-C.
    return Progress(
        *(name, *bar, Count(), TimeElapsedColumn()),
        console=console,
        expand=narrow,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
