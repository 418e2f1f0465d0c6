"""The Method seam: how a model is compressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.errors import MissingError
from edgekit.types import Artefact, ArtefactFormat, ModelKind

if TYPE_CHECKING:
    from edgekit.cache import Cache
    from edgekit.data import Dataset
    from edgekit.progress import Progress
    from edgekit.recipe.schema import QuantizeSpec
    from edgekit.sources.source import SourceModel


@dataclass(frozen=True)
class QuantizeJob:
    """All a method may use: a ``model`` of a kind it accepts, a ``folder`` to write its file to."""

    model: SourceModel
    options: QuantizeSpec
    calibration: Dataset
    folder: Path
    cache: Cache
    progress: Progress
    threads: int


@dataclass(frozen=True)
class Quantized:
    """What a method made; ``calibration_cached`` says whether the samples were run at all."""

    artefact: Artefact
    calibration_cached: bool


class Method(Protocol):
    """A way to compress a model."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        """Make the artefact.

        Raises:
            ConversionError: the engine refused the model.
        """


@dataclass(frozen=True)
class MethodEntry:
    """A row of the table of methods; ``module`` has a function ``make() -> Method``."""

    module: str
    accepts: tuple[ModelKind, ...]
    produces: ArtefactFormat
    requires: tuple[str, ...]
    summary: str
    install: str = "pip install 'edgekit[torch]'"

    def load(self) -> Method:
        """Import the method.

        Raises:
            MissingError: a package it needs is not installed.
        """
        missing = [package for package in self.requires if find_spec(package) is None]
        if missing:
            raise MissingError(
                f"{self.module.rpartition('.')[2]} needs {', '.join(missing)}", hint=self.install
            )
        make: Callable[[], Method] = import_module(self.module).make
        return make()
