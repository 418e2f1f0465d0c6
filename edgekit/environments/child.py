"""One worker in a process group of its own: a request, a time limit, a line of status."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any

from edgekit.errors import UsageError, WorkerError
from edgekit.runtimes.cause import condensed_cause

TIMEOUT_VARIABLE = "EDGEKIT_BRIDGE_TIMEOUT_S"
_CLOSE_LIMIT_S = 5.0
_MAX_ANSWER_BYTES = 4 << 20
_MAX_SAID_BYTES = 1 << 16
_KEPT = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "OMP_", "KMP_")


class BrokenEnvironmentError(WorkerError):
    """The environment itself is at fault: its Python does not start, an import fails."""


@dataclass(frozen=True)
class Call:
    """``worker`` is a script; ``tool`` names the environment in errors; ``timeout_s`` as asked for
    by the caller, before the user's own limit."""

    tool: str
    python: Path
    worker: Path
    request: Mapping[str, Any]
    folder: Path
    timeout_s: float


def run_worker(call: Call) -> Mapping[str, Any]:
    """The worker's answer.

    Its working folder, home and temporary folder are one fresh folder in ``call.folder``, which
    is removed afterwards; paths in the request are made absolute.

    Raises:
        BrokenEnvironmentError: its Python does not start, or an import failed in it.
        WorkerError: it refused, failed, crashed, took too long or answered with garbage.
        UsageError: the time limit in the environment is not a number of seconds.
    """
    limit_s = _time_limit_s(call.timeout_s)
    request = json.dumps(dict(call.request), default=_json_value).encode() + b"\n"
    scratch = Path(tempfile.mkdtemp(prefix=".worker-", dir=call.folder)).absolute()
    try:
        with tempfile.TemporaryFile() as said:
            answer, returncode = _exchange(call, request, scratch, said.fileno(), limit_s)
            size = os.fstat(said.fileno()).st_size
            said.seek(max(0, size - _MAX_SAID_BYTES))
            words = said.read().decode("utf-8", "replace")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _judged(call, answer, returncode, words)


def _exchange(
    call: Call, request: bytes, scratch: Path, said: int, limit_s: float
) -> tuple[bytes, int]:
    """What came on the answer descriptor, and how the worker ended."""
    reads, writes = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                # -E and -s: the environment's own packages and nothing of the user's besides; the
                # first entry of the import path is the worker's folder.
                [str(call.python), "-E", "-s", "-X", "utf8", str(call.worker), str(writes)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                cwd=scratch,
                env=_environment(call.python, scratch),
                pass_fds=(writes,),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise BrokenEnvironmentError(
                f"{call.tool}: its Python does not start: {error.strerror}"
            ) from error
        finally:
            os.close(writes)
        try:
            answer = _talk(process, request, reads, monotonic() + limit_s)
            if not answer:  # how it ends is all there is to tell
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_CLOSE_LIMIT_S)
        except TimeoutError:
            raise WorkerError(
                f"{call.tool}: no answer within {limit_s:g} s, so it was stopped",
                hint=f"Give it longer: {TIMEOUT_VARIABLE}={ceil(limit_s * 3)} (seconds).",
            ) from None
        finally:
            _end(process)
    finally:
        os.close(reads)
    return answer, process.returncode


def _talk(process: subprocess.Popen[bytes], request: bytes, answers: int, deadline: float) -> bytes:
    """Write the request, read one line or to the end. Standard input stays open: its end would
    tell the worker that its caller is gone."""
    assert process.stdin is not None
    requests = process.stdin.fileno()
    os.set_blocking(requests, False)
    left, answer = memoryview(request), bytearray()
    while not answer.endswith(b"\n") and len(answer) <= _MAX_ANSWER_BYTES:
        remaining_s = deadline - monotonic()
        writing = [requests] if left else []
        readable, writable, _ = select.select([answers], writing, [], max(0.0, remaining_s))
        if not readable and not writable:
            raise TimeoutError
        if writable:
            try:
                left = left[os.write(requests, left) :]
            except BrokenPipeError:
                left = left[len(left) :]  # it ended already; its status says how
        if readable:
            part = os.read(answers, 1 << 16)
            if not part:
                break
            answer += part
    return bytes(answer)


def _end(process: subprocess.Popen[bytes]) -> None:
    """No process of the group is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _judged(call: Call, answer: bytes, returncode: int, words: str) -> Mapping[str, Any]:
    last = _last_words(words)
    if not answer:
        raise _death(call, returncode, last)
    try:
        status = json.loads(answer)
        kind, details = status["status"], dict(status.get("details") or {})
        if kind == "ok":
            made: dict[str, Any] = dict(status["answer"])
            return made
        message = str(status["message"])
    except (ValueError, TypeError, KeyError):
        start = answer[:60].decode("utf-8", "replace").strip()
        raise WorkerError(f"{call.tool}: its worker answered with garbage: {start!r}") from None
    details["said"] = last
    if kind == "import":
        raise BrokenEnvironmentError(f"{call.tool}: {message}", details=details)
    if kind == "failed":
        message = condensed_cause(message)
        if network := details.get("network"):
            message += f" (it asked for the network: {', '.join(network)}, which it does not get)"
    raise WorkerError(f"{call.tool}: {message}", details=details)


def _death(call: Call, returncode: int, last: str) -> WorkerError:
    details = {"said": last, "exit_status": returncode}
    if "ModuleNotFoundError: " in last or "ImportError: " in last:
        return BrokenEnvironmentError(f"{call.tool}: {last}", details=details)
    hint = None
    if returncode < 0:
        name = signal.Signals(-returncode).name
        how = f"it crashed ({name})"
        if name == "SIGKILL":
            hint = "The system may have run out of memory."
    else:
        how = f"its worker ended without an answer (exit status {returncode})"
    said = f"; it last said: {last}" if last else ""
    return WorkerError(f"{call.tool}: {how}{said}", hint=hint, details=details)


def _last_words(words: str) -> str:
    return condensed_cause("\n".join(words.strip().splitlines()[-3:]))


def _time_limit_s(asked_for: float) -> float:
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return asked_for
    try:
        limit_s = float(text)
    except ValueError:
        limit_s = 0.0
    if not 0 < limit_s < 1e7:
        raise UsageError(
            f"{TIMEOUT_VARIABLE}={text} is not a number of seconds",
            hint=f"For example {TIMEOUT_VARIABLE}=3600.",
        )
    return limit_s


def _environment(python: Path, scratch: Path) -> dict[str, str]:
    """The caller's environment, but for all that could steer a Python or a framework elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    # Tools call programs of their own environment by name.
    path = os.pathsep.join([str(python.parent), kept.get("PATH", os.defpath)])
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**kept, **quiet, "PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch)}


def _json_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    raise TypeError(f"a {type(value).__name__} cannot be part of a request")
