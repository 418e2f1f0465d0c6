"""ExportedPrograms (``.pt2``) that edgekit wrote, behind the Session seam: operator by operator.

A quantized program computes its quantize and dequantize operators one after the other then, on
floats between: the numbers that count, at no product's speed. ``torch_inductor`` compiles it.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.capture import captured_output
from edgekit.errors import MissingError, SessionError, UsageError
from edgekit.pytorch.description import Description, read_description
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.session import SessionInfo
from edgekit.runtimes.torch_module import TorchSession
from edgekit.sources.pytorch import require_torch

if TYPE_CHECKING:
    from torch.export import ExportedProgram

RUNTIME = "torch_export"
_KIND = "ExportedProgram (.pt2)"


def open_file(path: Path, *, threads: int, signature: str | None) -> TorchSession:
    """Open a ``.pt2``, float or quantized.

    Raises:
        UsageError: missing file, a signature (the format has none), threads below 1.
        SessionError: damaged, not edgekit's, or from a torch whose files this one cannot read.
        MissingError: torch, or the package whose operators it uses, is not installed.
    """
    refuse_signature(path, signature)
    return open_reference(path, threads=threads, why="it is not compiled")


def open_reference(path: Path, *, threads: int, why: str) -> TorchSession:
    """As ``open_file``; ``why`` it is not run faster stands in the session's caveat."""
    program, description = load_program(path)
    return _ReferenceSession(program.module(check_guards=False), description, threads, why)


def load_program(path: Path) -> tuple[ExportedProgram, Description]:
    """The program in ``path`` and what the file says about itself. Raises as ``open_file``."""
    description = read_program_description(path)
    torch = require_torch()
    if "torchao" in description.tools:
        register_operators(path.name, description)
    try:
        with captured_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path), description
    except Exception as error:  # torch raises many types for a bad archive
        written = description.tools.get("torch", "an unknown version")
        raise SessionError(
            f"torch {torch.__version__} cannot load {path.name}, which torch {written} wrote: "
            f"{condensed_cause(f'{type(error).__name__}: {error}')}",
            hint=f"Run it with torch {written}, or make it again with this one.",
        ) from error


def read_program_description(path: Path) -> Description:
    """What the file says about itself, without torch. Raises as ``open_file``."""
    return read_description(path, _KIND)


def register_operators(name: str, description: Description) -> None:
    """Make torch know the operators of torchao, which ``name`` uses."""
    try:
        with captured_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchao  # noqa: F401
    except ImportError as error:
        raise MissingError(
            f"{name} has operators of torchao, which is not installed",
            hint=f"pip install torchao=={description.tools['torchao']}",
        ) from error


def refuse_signature(path: Path, signature: str | None) -> None:
    if signature is not None:
        raise UsageError(f"{path.name} has no signature '{signature}'; a .pt2 has none at all")


def installed(package: str) -> str:
    """Its version, for keys; empty where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class _ReferenceSession(TorchSession):
    """A session whose times are no product's."""

    def __init__(self, module: Any, description: Description, threads: int, why: str) -> None:
        super().__init__(
            module,
            description.inputs,
            description.outputs,
            threads,
            runtime_name=RUNTIME,
            one_by_one=description.one_by_one,
        )
        self._why = why

    @cached_property
    def info(self) -> SessionInfo:
        return replace(
            super().info,
            reference_only=True,
            caveat=f"run operator by operator, right but not fast: {self._why}",
        )
