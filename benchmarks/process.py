"""Run a program and know how long it took and how much memory it held."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

SAMPLE_EVERY_S = 0.1
_TAIL_LINES = 20


@dataclass(frozen=True)
class Ran:
    """One finished program.

    ``seconds`` are wall time from before its start to after its end. ``peak_bytes`` is the most
    resident memory of it and its children together; pages they share count in each of them.
    """

    seconds: float
    peak_bytes: int
    exit_code: int


def run(
    command: Sequence[str],
    *,
    accept: Sequence[int] = (0,),
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run ``command`` with ``env`` added to this environment; what it prints is kept back.

    Raises:
        RuntimeError: it ended with another exit code than those accepted; quotes its last words.
    """
    with tempfile.TemporaryFile() as said:
        start = perf_counter()
        child = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _Watch(child.pid) as peak:
            try:
                _, status = os.waitpid(child.pid, 0)
            except BaseException:  # Ctrl-C does not reach a session of its own
                os.killpg(child.pid, signal.SIGTERM)
                child.wait()
                raise
            seconds = perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in accept:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
            raise RuntimeError(
                f"{' '.join(command)} ended with exit code {child.returncode}:\n" + "\n".join(last)
            )
    # Not rusage's maximum: that counts from before exec, when the child still was its parent.
    return Ran(seconds, peak.bytes, child.returncode)


class _Watch:
    """Sample the memory of a session's processes in a thread while the block runs."""

    def __init__(self, session: int) -> None:
        self.bytes = 0
        self._session = session
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            self.bytes = max(self.bytes, sum(_resident_bytes(self._session)))


def _resident_bytes(session: int) -> Iterator[int]:
    page = os.sysconf("SC_PAGE_SIZE")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold blanks: fields are counted from behind it.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[3]) == session:
            yield int(fields[21]) * page
