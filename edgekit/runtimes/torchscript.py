"""TorchScript files that edgekit wrote, behind the Session seam."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from edgekit.errors import SessionError, UsageError
from edgekit.pytorch.description import Description, read_description
from edgekit.runtimes.cause import condensed_cause
from edgekit.sources.pytorch import require_torch

if TYPE_CHECKING:
    from edgekit.runtimes.torch_module import TorchSession


def open_file(path: Path, *, threads: int, signature: str | None) -> TorchSession:
    """Load and freeze a TorchScript file: constants are folded, a float model's batch norms too.

    Its quantized operators run on the engine it was made for, whichever is set elsewhere.

    Raises:
        UsageError: missing file, a signature (the format has none), threads below 1.
        SessionError: damaged, not edgekit's, from a newer torch, operators that this torch lacks.
        MissingError: torch is not installed.
    """
    from edgekit.runtimes.torch_module import TorchSession

    if signature is not None:
        raise UsageError(f"{path.name} has no signature '{signature}'; TorchScript has none at all")
    description = read_script_description(path)
    module = _OnEngine(load_script(path, description, frozen=True), description.engine)
    return TorchSession(
        module,
        description.inputs,
        description.outputs,
        threads,
        runtime_name="torchscript",
        one_by_one=description.one_by_one,
    )


def read_script_description(path: Path) -> Description:
    """What the file says about itself; errors as in ``read_description``."""
    return read_description(path, "TorchScript file")


def load_script(path: Path, description: Description, *, frozen: bool = False) -> Any:
    """The ``ScriptModule`` in ``path``, its weights packed for the engine it names.

    Raises:
        SessionError: from a newer torch, damaged, or operators or an engine that this torch lacks.
    """
    torch = require_torch()
    written = description.tools.get("torch", "unknown")
    _check_version(path, written, str(torch.__version__))
    with warnings.catch_warnings(), on_engine(description.engine, path.name):
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(str(path), map_location="cpu").eval()
            return torch.jit.freeze(module) if frozen else module
        except Exception as error:  # torch raises many types for a bad archive
            raise SessionError(
                f"torch {torch.__version__} cannot load {path.name}, which torch {written} wrote: "
                f"{condensed_cause(str(error))}",
                hint=f"Run it with torch {written}, or make it again with this one.",
            ) from error


@contextmanager
def on_engine(engine: str | None, name: str) -> Iterator[None]:
    """Quantized operators are made and run on ``engine`` while the block runs; on torch's own
    choice if ``None``. ``name`` is the file that asks for it.

    Raises:
        SessionError: this build of torch does not have it; those it has are named.
    """
    torch = require_torch()
    quantized = torch.backends.quantized
    if engine is None:
        yield
        return
    if engine not in quantized.supported_engines:
        known = ", ".join(quantized.supported_engines)
        raise SessionError(
            f"{name} was made for the quantized engine {engine}, which torch "
            f"{torch.__version__} on this machine does not have; it has {known}",
            hint="Make it again with quantize.backend: auto on a machine of this kind.",
        )
    before = quantized.engine
    quantized.engine = engine
    try:
        yield
    finally:
        quantized.engine = before


class _OnEngine:
    """Sets the engine, which is the whole process's, for each call only."""

    def __init__(self, module: Any, engine: str | None) -> None:
        self._module = module
        self._quantized = require_torch().backends.quantized
        self._engine = engine

    def __call__(self, *tensors: Any) -> Any:
        if self._engine is None:
            return self._module(*tensors)
        before = self._quantized.engine
        self._quantized.engine = self._engine
        try:
            return self._module(*tensors)
        finally:
            self._quantized.engine = before


def _check_version(path: Path, written: str, present: str) -> None:
    """TorchScript promises that a newer torch reads an older one's files, not the reverse."""
    try:
        newer = Version(written).release[:2] > Version(present).release[:2]
    except InvalidVersion:
        return  # a build of somebody's own: loading will tell
    if newer:
        raise SessionError(
            f"{path.name} was written by torch {written}, which is newer than torch {present} here",
            hint=f"pip install torch=={Version(written).public}",
        )
