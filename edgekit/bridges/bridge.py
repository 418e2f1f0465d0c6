"""The Bridge seam: one model kind in, another out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.entry import Entry
from edgekit.recipe.schema import OnnxSpec
from edgekit.types import ModelKind

if TYPE_CHECKING:
    from edgekit.progress import Progress
    from edgekit.sources.source import SourceModel


@dataclass(frozen=True)
class BridgeJob:
    """All a bridge may use: a ``source`` of a kind it accepts, a ``folder`` to write to."""

    source: SourceModel
    folder: Path
    onnx: OnnxSpec
    progress: Progress


class Bridge(Protocol):
    """Converts a model; numbers are checked by the caller, after every hop."""

    def version(self) -> str:
        """What a cached conversion depends on besides the model: tool versions, own revision."""

    def convert(self, job: BridgeJob) -> Path:
        """Write the converted model into the job's folder and return its path.

        Raises:
            ConversionError: the converter refused the model; its cause is condensed.
            MissingError: its isolated environment cannot be made.
        """

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        """The converted ``file`` as a model of its own, with the names of ``source``."""


@dataclass(frozen=True, kw_only=True)
class BridgeEntry(Entry):
    """A row of the table of bridges."""

    accepts: tuple[ModelKind, ...]
    produces: ModelKind
    environment: str | None = None
    """Name of the isolated environment it converts in; made on first use."""

    def load(self) -> Bridge:
        """See ``Entry.make``."""
        bridge: Bridge = self.make()
        return bridge
