"""Run a model: every runtime behind the Session seam, in this process or in a child.

A further runtime is one module with ``open_file(path, *, threads, signature)`` and one row here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from edgekit.errors import SessionError, UsageError
from edgekit.runtimes.session import Session

RUNTIMES = {
    "litert": "edgekit.runtimes.litert",
    "onnxruntime": "edgekit.runtimes.onnx_runtime",
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

    Where it cannot, the session is for reference only, and ``info.caveat`` says why.
    """
    if runtime != "torch_export":
        return open_session(path, threads=threads, runtime=runtime)
    try:
        return open_session(path, threads=threads, runtime="torch_inductor")
    except SessionError as error:
        from edgekit.runtimes.torch_export import open_reference

        # A file that is itself at fault fails here again, with its own error.
        return open_reference(path, threads=threads, why=error.message)
