"""Run a model: every runtime behind the Session seam, in this process or in a child.

A further runtime is one module with ``open_file(path, *, threads, signature)`` and one row here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from edgekit.errors import UsageError
from edgekit.runtimes.session import Session

RUNTIMES = {
    "litert": "edgekit.runtimes.litert",
    "torchscript": "edgekit.runtimes.torchscript",
    "torch_export": "edgekit.runtimes.torch_export",
    "torch_inductor": "edgekit.runtimes.torch_inductor",
}
"""Module of each runtime that opens model files, by name. Models that live as Python objects
(``torch_module.TorchSession``) are opened by whoever has the object."""


def open_session(
    path: Path,
    *,
    threads: int = 1,
    isolated: bool = False,
    runtime: str = "litert",
    signature: str | None = None,
) -> Session:
    """Open the model file at ``path``; close the session, or use it as a context manager.

    ``isolated`` runs it in a child process: a crash or a hang becomes a SessionError. ``threads``
    is the number of CPU threads; ``signature`` chooses among several (the first by default).

    Raises:
        UsageError: unknown runtime or signature, missing file.
        SessionError: the model cannot be loaded, or takes its process down.
        MissingError: the runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"no runtime is called '{runtime}'; there is {', '.join(RUNTIMES)}")
    if isolated:
        from edgekit.runtimes.child import ChildSession

        return ChildSession(path, threads=threads, runtime=runtime, signature=signature)
    session: Session = import_module(RUNTIMES[runtime]).open_file(
        path, threads=threads, signature=signature
    )
    return session


def open_timed(path: Path, *, threads: int = 1, runtime: str = "litert") -> Session:
    """As ``open_session``, for timing: an ExportedProgram is compiled where this machine can.

    A session that could not be compiled says so: ``info.reference_only``.
    """
    if runtime == "torch_export":
        from edgekit.runtimes.torch_inductor import can_compile

        runtime = "torch_inductor" if can_compile() else runtime
    return open_session(path, threads=threads, runtime=runtime)
