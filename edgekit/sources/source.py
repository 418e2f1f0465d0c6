"""A source model: located first, loaded only when something needs the framework's own object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_type_hints

from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.session import Session
from edgekit.types import ModelKind

INPUT_DTYPES: tuple[str, ...] = get_args(get_type_hints(InputSpec)["dtype"])
"""What an input can be, in a recipe."""


@dataclass(frozen=True)
class SourceModel:
    """One model in one framework.

    ``fingerprint`` covers everything its answers depend on: weights, code, arguments and the
    framework's version. It is known without importing the framework, which is what lets a cached
    run skip it altogether.
    """

    kind: ModelKind
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    fingerprint: str
    files: Mapping[str, Path]
    loader: Callable[[], Any] = field(repr=False, compare=False)
    opener: Callable[[SourceModel, int], Session] = field(repr=False, compare=False)

    @cached_property
    def value(self) -> Any:
        """The framework's object: an ``nn.Module``, an ``ExportedProgram``, a path to a file."""
        return self.loader()

    @property
    def size_bytes(self) -> int:
        """Bytes of the model's files, folders with all that is in them."""
        return sum(_size_bytes(path) for path in self.files.values())

    def open_session(self, threads: int) -> Session:
        """The model in its own framework, behind the seam everything else uses."""
        return self.opener(self, threads)


def _size_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
