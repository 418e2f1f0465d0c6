"""Keep what native runtimes print on file descriptor 2 away from the user, and at hand for errors.

LiteRT's C++ writes to the descriptor itself, so replacing ``sys.stderr`` does not catch it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_CAUSE_CHARS = 400

capture_enabled = True
"""Cleared by a worker process, whose whole stderr is captured by its parent: text that is on its
way to a file of the worker's own would be lost when the runtime aborts."""


@dataclass
class NativeLog:
    """What was printed; filled when the capture ends."""

    text: str = ""


@contextmanager
def captured_stderr() -> Iterator[NativeLog]:
    """Redirect file descriptor 2 to a temporary file and silence Python warnings meanwhile.

    Affects the whole process, so keep what is inside short: creating an interpreter, not a run.
    """
    log = NativeLog()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not capture_enabled or not _is_open(2):
            yield log
            return
        _flush()
        saved = os.dup(2)
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield log
            finally:
                _flush()
                os.dup2(saved, 2)
                os.close(saved)
                sink.seek(0)
                log.text = sink.read().decode("utf-8", "replace")


def condensed_cause(*texts: str) -> str:
    """One line out of a runtime's error texts: no chatter, no repeats, a bounded length.

    >>> condensed_cause("INFO: Created delegate", "stride > 0 was not true.Node number 0 (X)")
    'stride > 0 was not true; node number 0 (X)'
    """
    lines: list[str] = []
    for text in texts:
        parted = re.sub(r"[.\s]*Node number (?=\d)", "\nnode number ", text)
        for line in parted.splitlines():
            line = " ".join(line.split()).rstrip(".")
            # "\x1b": a progress bar drawn by another thread meanwhile is not the runtime's text
            if line and "\x1b" not in line and not line.startswith("INFO:") and line not in lines:
                lines.append(line)
    cause = "; ".join(lines)
    return cause if len(cause) <= MAX_CAUSE_CHARS else cause[: MAX_CAUSE_CHARS - 1] + "…"


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _flush() -> None:
    # None under pythonw-like hosts; closed when a host tore its streams down.
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()
