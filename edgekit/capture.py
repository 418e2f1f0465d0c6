"""Keep what native libraries print away from the terminal, and at hand for error messages.

Converters and interpreters write to file descriptors 1 and 2 from C++, so redirecting
``sys.stdout`` is not enough.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

enabled = True
"""Cleared by a runtime's worker process, whose output its parent keeps already: text on its way to
a file of the worker's own would be lost when the runtime aborts."""


class CapturedOutput:
    """What was printed while capturing."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def text(self) -> str:
        self._stream.flush()
        descriptor = self._stream.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode("utf-8", "replace")

    def tail(self, lines: int = 8) -> str:
        """The last non-empty lines, without what a progress bar in another thread drew."""
        kept = [line for line in self.text().splitlines() if line.strip() and "\x1b" not in line]
        return "\n".join(kept[-lines:])


@contextmanager
def captured_output() -> Iterator[CapturedOutput]:
    """Send file descriptors 1 and 2 of this process to a temporary file while the block runs.

    Whole-process: not for use while another thread must print. A Python stream that does not write
    to these descriptors (a notebook's) is not captured.
    """
    with tempfile.TemporaryFile() as sink:
        if not enabled:
            yield CapturedOutput(sink)
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError, OSError):
                stream.flush()
        saved = [(fd, os.dup(fd)) for fd in (1, 2)]
        try:
            for fd, _ in saved:
                os.dup2(sink.fileno(), fd)
            yield CapturedOutput(sink)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, ValueError, OSError):
                    stream.flush()
            for fd, copy in saved:
                os.dup2(copy, fd)
                os.close(copy)
