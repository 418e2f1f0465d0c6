"""The child's side of a ChildSession: ``python -m edgekit.runtimes.worker``, spoken to by pipes.

Verbs: ``load`` (first, and for every further file), ``run``, ``time``; ``weigh`` (before ``load``)
and ``peak`` tell memory. Standard input and output carry the messages of ``wire``; whatever a
runtime prints goes to standard error, which the parent keeps.
"""

from __future__ import annotations

import os
import select
import threading
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from edgekit import capture, errors
from edgekit.runtimes import open_session, process_memory
from edgekit.runtimes.session import Session
from edgekit.runtimes.wire import PREFIX, Message, decode, encode


def main() -> None:
    """Serve until the parent closes the pipe."""
    requests, answers = pipes()
    session: Session | None = None
    while (request := _receive(requests)) is not None:
        try:
            session, answer = _serve(session, request)
        except errors.EdgekitError as error:
            answer = Message(
                "error",
                {"type": type(error).__name__, "message": error.message, "hint": error.hint},
            )
        for chunk in encode(answer):
            answers.write(chunk)
        answers.flush()


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers. From here on a runtime's printf goes to standard error, and the process
    ends when its parent closes the requests or dies."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    capture.enabled = False
    threading.Thread(target=_exit_with_parent, args=(requests.fileno(),), daemon=True).start()
    return requests, answers


def _serve(session: Session | None, request: Message) -> tuple[Session | None, Message]:
    if request.kind == "weigh":
        weight_bytes = process_memory.weigh_runtime(request.fields["runtime"])
        return session, Message("weighed", {"bytes": weight_bytes})
    if request.kind == "load":
        if session is not None:
            session.close()
        fields = request.fields
        opened = open_session(
            Path(fields["path"]),
            threads=fields["threads"],
            runtime=fields["runtime"],
            signature=fields["signature"],
        )
        return opened, Message("loaded", asdict(opened.info))
    if session is None:
        raise errors.UsageError(f"'{request.kind}' came before 'load'")
    if request.kind == "run":
        return session, Message("ran", arrays=session.run(request.arrays))
    if request.kind == "time":
        times_ms = session.time_ms(request.arrays, request.fields["repeats"])
        return session, Message("timed", arrays={"times_ms": times_ms})
    if request.kind == "peak":
        return session, Message("weighed", {"bytes": process_memory.peak_bytes()})
    raise errors.UsageError(f"no verb is called '{request.kind}'")


def _receive(stream: BinaryIO) -> Message | None:
    """The next message, or ``None`` at the end of the stream."""
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    header_length, payload_length = PREFIX.unpack(prefix)
    header = stream.read(header_length)
    payload = bytearray(payload_length)
    if len(header) < header_length or stream.readinto(payload) < payload_length:  # type: ignore[attr-defined]
        return None
    return decode(header, payload)


def _exit_with_parent(descriptor: int) -> None:
    """A parent that died has closed the pipe: leave, even out of a run that never ends."""
    hang_up = select.poll()
    hang_up.register(descriptor, 0)  # only the hang-up, which is always reported
    hang_up.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
