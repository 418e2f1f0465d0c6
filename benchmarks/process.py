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

SAMPLE_EVERY_S = 0.2
_TAIL_LINES = 20


@dataclass(frozen=True)
class Ran:
    """One finished program.

    ``seconds`` are wall time from before its start to after its end. ``peak_bytes`` is the most
    memory it and its children held at a time, pages they share counted once.
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
        known: set[int] = set()
        while not self._done.wait(SAMPLE_EVERY_S):
            held = dict(_held_bytes(self._session))
            # One that has just been forked is, until it loads its own program, a copy of its
            # parent: counted from the second time it is seen.
            self.bytes = max(self.bytes, sum(held[pid] for pid in held if pid in known))
            known = set(held)


def _held_bytes(session: int) -> Iterator[tuple[int, int]]:
    """Process and its proportional share of resident memory, for all of ``session``."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold blanks: fields are counted from behind it.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            lines = (folder / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # ended meanwhile
        share = next((line for line in lines if line.startswith("Pss:")), "Pss: 0 kB")
        yield int(folder.name), int(share.split()[1]) * 1024
