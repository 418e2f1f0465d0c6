"""The worker's side of an isolated environment: one request in, one line of status out.

A worker is a script beside this file that ends with ``serve(work)``. It runs on the environment's
own Python (3.9 or later), which has no edgekit. The request is one JSON line on standard input;
the status is one JSON line on the descriptor that the first argument names, so whatever a tool
prints cannot be taken for it. The end of standard input is the end of the caller: the worker's
whole process group goes with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
_MAX_TRACE_LINES = 3
_asked_for: list[str] = []


class Refused(Exception):
    """The tool cannot take this model; ``details`` (JSON values) reach the caller as they are."""

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.message = message
        self.details = details


def serve(work: Callable[[Request], Request]) -> None:
    """Answer the one request with what ``work`` returns, and end the process."""
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    requests = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    request = json.loads(_line(requests))
    threading.Thread(target=_end_with_caller, args=(requests,), daemon=True).start()
    sys.addaudithook(_refuse_network)
    status = _outcome(work, request)
    if _asked_for:
        status.setdefault("details", {})["network"] = sorted(set(_asked_for))
    left = memoryview(json.dumps(status).encode() + b"\n")
    while left:
        left = left[os.write(answers, left) :]
    os.close(answers)
    sys.stdout.flush()
    sys.stderr.flush()
    # Frameworks have been seen to crash or hang while they tear themselves down.
    os._exit(0)


def _outcome(work: Callable[[Request], Request], request: Request) -> dict[str, Any]:
    try:
        return {"status": "ok", "answer": dict(work(request))}
    except Refused as error:
        return {"status": "refused", "message": error.message, "details": error.details}
    except ImportError as error:
        return {"status": "import", "message": str(error), "details": {"module": error.name}}
    except MemoryError as error:
        message = f"it ran out of memory: {error}" if str(error) else "it ran out of memory"
        return {"status": "failed", "message": message, "details": {}}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the caller is told
        import traceback

        trace = traceback.extract_tb(error.__traceback__)[-_MAX_TRACE_LINES:]
        places = [f"{os.path.basename(step.filename)}:{step.lineno}" for step in trace]
        message = f"{type(error).__name__}: {error}"
        return {"status": "failed", "message": message, "details": {"places": places}}


def _line(descriptor: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(descriptor, 1 << 16)
        if not part:
            os._exit(1)  # the caller is gone
        data += part
    return data


def _end_with_caller(requests: int) -> None:
    while os.read(requests, 1 << 16):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _refuse_network(event: str, arguments: Any) -> None:
    """Audit hook: no connection but those to processes of this machine by path."""
    if event == "socket.getaddrinfo":
        where = str(arguments[0])
    elif event in ("socket.connect", "socket.sendto", "socket.bind"):
        if arguments[0].family == getattr(socket, "AF_UNIX", None):
            return
        where = str(arguments[1])
    else:
        return
    _asked_for.append(where)
    raise OSError(f"no network in an isolated environment: {where} was asked for")
