"""A Session in a child process: a model that crashes or hangs its runtime costs only the child."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any

from edgekit import errors
from edgekit.errors import SessionError, UsageError
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.runtimes.wire import PREFIX, Message, decode, encode
from edgekit.types import Array, Feeds, QuantParams, TensorInfo

TIME_LIMIT_S = 120.0
CLOSE_LIMIT_S = 5.0
PIPE_BYTES = 1 << 20


class ChildSession(ClosingSession):
    """The model file at ``path``, loaded and run by a worker process. POSIX only.

    Once the child has died or was killed, every further call says so with a SessionError.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        runtime: str = "litert",
        signature: str | None = None,
        time_limit_s: float = TIME_LIMIT_S,
        weighed: bool = False,
    ) -> None:
        """Start the worker and load the model; ``time_limit_s`` holds for each call apart.
        ``weighed`` is for ``peak_bytes``.

        Raises:
            UsageError: missing file, unknown signature; nothing here tells memory.
            SessionError: the model cannot be loaded, crashed the worker, or took too long.
        """
        self._time_limit_s = time_limit_s
        self._threads = threads
        self._runtime = runtime
        self._ended: str | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the session
        self._process = start_worker("edgekit.runtimes.worker", self._stderr.fileno())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        _widen(self._requests)
        _widen(self._answers)
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)
        self._name = path.name
        self._weight_bytes = 0
        try:
            if weighed:
                asked = Message("weigh", {"runtime": runtime})
                self._weight_bytes = self._ask(asked, "getting ready for").fields["bytes"]
            self.load(path, signature=signature)
        except BaseException:
            self.close()
            raise

    def load(self, path: Path, *, signature: str | None = None) -> None:
        """Another model file in the same process, in place of the one before; where it cannot be
        loaded, close the session.

        Raises:
            UsageError, SessionError: as for a new session.
        """
        self._name = path.name
        fields = {
            "path": str(path.absolute()),
            "threads": self._threads,
            "runtime": self._runtime,
            "signature": signature,
        }
        self._info = _info(self._ask(Message("load", fields), "loading").fields)

    @property
    def info(self) -> SessionInfo:
        return self._info

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """See ``Session.run``."""
        return dict(self._ask(Message("run", arrays=feeds), "running").arrays)

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``; measured in the child, so the pipe costs nothing."""
        request = Message("time", {"repeats": repeats}, feeds)
        return self._ask(request, "timing").arrays["times_ms"]

    def peak_bytes(self) -> int:
        """Memory that the model has taken at most so far, beside that of the runtime as it was
        imported; of a session that is ``weighed``."""
        peak: int = self._ask(Message("peak"), "weighing").fields["bytes"]
        return max(0, peak - self._weight_bytes)

    def close(self) -> None:
        """End the child; safe to call twice."""
        self._ended = self._ended or f"the session of {self._name} is closed"
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
        self._stderr.close()

    def _ask(self, request: Message, doing: str) -> Message:
        """One request and its answer."""
        if self._ended is not None:
            raise SessionError(self._ended)
        chunks = encode(request)
        try:
            answer = self._exchange(chunks)
        except TimeoutError:
            self._kill()
            self._ended = f"the interpreter hung while {doing} {self._name}"
            raise SessionError(
                f"{self._ended}: no answer within {self._time_limit_s:g} s, so it was stopped"
            ) from None
        except (EOFError, BrokenPipeError):
            raise self._death(doing) from None
        except BaseException:
            self._kill()  # half a message is on its way: the child cannot be spoken to any more
            self._ended = f"the interpreter was stopped while {doing} {self._name}"
            raise
        if answer.kind == "error":
            raise error_told(answer.fields)
        return answer

    def _exchange(self, chunks: list[memoryview]) -> Message:
        deadline = monotonic() + self._time_limit_s
        for chunk in chunks:
            while chunk:
                _wait(self._requests, selectors.EVENT_WRITE, deadline)
                chunk = chunk[os.write(self._requests, chunk) :]
        header_length, payload_length = PREFIX.unpack(self._read(PREFIX.size, deadline))
        header = self._read(header_length, deadline)
        return decode(header, self._read(payload_length, deadline))

    def _read(self, length: int, deadline: float) -> bytearray:
        buffer = bytearray(length)
        rest = memoryview(buffer)
        while rest:
            _wait(self._answers, selectors.EVENT_READ, deadline)
            count = os.readv(self._answers, [rest])
            if count == 0:
                raise EOFError
            rest = rest[count:]
        return buffer

    def _death(self, doing: str) -> SessionError:
        """What became of a child that closed its pipe."""
        try:
            status = self._process.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            status = self._process.returncode
        error = death_told(status, self._stderr, f"{doing} {self._name}")
        self._ended = error.message.partition(";")[0]
        return error

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Succession:
    """Files that run one after the other, in one child process while it lives and in a new one
    after a crash: starting Python takes longer than many a file's samples. POSIX only."""

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._session: ChildSession | None = None

    @contextmanager
    def opened(self, path: Path) -> Iterator[ChildSession]:
        """The session of one file; good within the block only.

        Raises:
            UsageError, SessionError: as ``ChildSession``.
        """
        try:
            if self._session is None:
                self._session = ChildSession(path, threads=self._threads)
            else:
                self._session.load(path)
            yield self._session
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child; the next file starts another."""
        if self._session is not None:
            self._session.close()
            self._session = None


def start_worker(module: str, stderr: int) -> subprocess.Popen[bytes]:
    """``python -m module`` with pipes for standard input and output."""
    # The parent's own import path, in its order, and nothing of the current folder besides; a
    # session of its own, so that Ctrl-C reaches the parent alone, which then ends the child.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "PYTHONSAFEPATH": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
        start_new_session=True,
        bufsize=0,
    )


def death_told(status: int, stderr: IO[bytes], doing: str) -> SessionError:
    """The error for a worker that ended by itself with ``status``, and what it last said."""
    stderr.seek(0)
    said = stderr.read().decode("utf-8", "replace")
    hint = None
    if status < 0:
        name = signal.Signals(-status).name
        how = f"the interpreter crashed ({name}) while {doing}"
        if name == "SIGKILL":
            hint = "The system may have run out of memory."
    else:
        how = f"the worker ended (exit status {status}) while {doing}"
    last = condensed_cause("\n".join(said.splitlines()[-3:]))
    return SessionError(f"{how}; it last said: {last}" if last else how, hint=hint)


def _widen(descriptor: int) -> None:
    """Make a pipe take an image at once where the system can: fewer switches between processes."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the user's share of pipe memory is used up: merely slower
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        if not selector.select(max(0.0, deadline - monotonic())):
            raise TimeoutError


def _info(fields: Any) -> SessionInfo:
    return SessionInfo(
        runtime=fields["runtime"],
        version=fields["version"],
        threads=fields["threads"],
        inputs=tuple(_tensor_info(entry) for entry in fields["inputs"]),
        outputs=tuple(_tensor_info(entry) for entry in fields["outputs"]),
        max_batch=fields["max_batch"],
        reference_only=fields["reference_only"],
        caveat=fields["caveat"],
    )


def _tensor_info(entry: Any) -> TensorInfo:
    quant = None if entry["quant"] is None else QuantParams(**entry["quant"])
    return TensorInfo(entry["name"], tuple(entry["shape"]), entry["dtype"], quant)


def error_told(fields: Any) -> errors.EdgekitError:
    """The worker's own error, raised again here."""
    kind = getattr(errors, fields["type"], SessionError)
    if not issubclass(kind, errors.EdgekitError):
        raise UsageError(f"the worker answered with an unknown error {fields['type']}")
    made: errors.EdgekitError = kind(fields["message"], hint=fields["hint"])
    return made
