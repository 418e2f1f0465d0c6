"""Run a Python program with stderr on a terminal of a given width, and read what it drew."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Ran:
    """``drawn`` is the raw stream that the terminal got, ``stdout`` went to a pipe."""

    code: int
    stdout: str
    drawn: str

    @property
    def words(self) -> str:
        """``drawn`` without control codes."""
        return CONTROL.sub("", self.drawn)


def run_on_terminal(
    program: str,
    *,
    columns: int = 80,
    env: Mapping[str, str] | None = None,
    interrupt_when: str | None = None,
    type_when: Mapping[str, str] | None = None,
    timeout_s: float = 30,
) -> Ran:
    """Run ``program``; once ``interrupt_when`` was drawn, type Ctrl-C.

    ``type_when`` holds what to type once its key was drawn.
    """
    typing = dict(type_when or {})
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unset = {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}
    surroundings = {key: value for key, value in os.environ.items() if key not in unset}
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**surroundings, "TERM": "xterm-256color", **(env or {})},
        cwd=Path(__file__).parent.parent.parent,
        start_new_session=True,
    )
    os.close(theirs)
    drawn = b""
    deadline = time.monotonic() + timeout_s
    os.set_blocking(ours, False)
    while True:
        try:
            part = os.read(ours, 65536)
        except BlockingIOError:
            time.sleep(0.02)
            assert time.monotonic() < deadline, drawn
            continue
        except OSError:
            part = b""  # how Linux says that the other side is closed
        if not part:
            break
        drawn += part
        if interrupt_when is not None and interrupt_when.encode() in drawn:
            interrupt_when = None
            child.send_signal(signal.SIGINT)
        for seen in [text for text in typing if text.encode() in drawn]:
            os.write(ours, typing.pop(seen).encode())
    os.close(ours)
    stdout, _ = child.communicate(timeout=timeout_s)
    return Ran(child.returncode, stdout.decode(), drawn.decode())
