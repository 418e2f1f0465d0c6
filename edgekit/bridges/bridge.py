"""The Bridge seam: one model kind in, another out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.errors import MissingError
from edgekit.types import ModelKind

if TYPE_CHECKING:
    from edgekit.sources.source import SourceModel


class Bridge(Protocol):
    """Converts a model; numbers are checked by the caller, after every hop."""

    def version(self) -> str:
        """What a cached conversion depends on besides the model: tool versions, own revision."""

    def convert(self, source: SourceModel, folder: Path) -> Path:
        """Write the converted model into ``folder`` and return its path.

        Raises:
            ConversionError: the converter refused the model; its cause is condensed.
        """

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        """The converted ``file`` as a model of its own, with the names of ``source``."""


@dataclass(frozen=True)
class BridgeEntry:
    """A row of the table of bridges; ``module`` has a function ``make() -> Bridge``."""

    module: str
    accepts: tuple[ModelKind, ...]
    produces: ModelKind
    requires: tuple[str, ...]
    summary: str
    install: str = "pip install 'edgekit[torch]'"

    def load(self) -> Bridge:
        """Import the bridge.

        Raises:
            MissingError: a package it needs is not installed.
        """
        missing = [package for package in self.requires if find_spec(package) is None]
        if missing:
            raise MissingError(
                f"{self.module.rpartition('.')[2]} needs {', '.join(missing)}", hint=self.install
            )
        make: Callable[[], Bridge] = import_module(self.module).make
        return make()
