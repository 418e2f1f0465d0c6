"""The Method seam: how a model is compressed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.entry import Entry
from edgekit.types import Artefact, ArtefactFormat, ModelKind

if TYPE_CHECKING:
    from edgekit.cache import Cache
    from edgekit.choose import Candidate, Choice
    from edgekit.data import Dataset
    from edgekit.progress import Progress
    from edgekit.recipe.schema import QuantizeSpec
    from edgekit.sources.source import SourceModel

_ALLOWED = 0.75
"""Of what a limit allows to change or to be lost: dev is not the data that is judged on."""


@dataclass(frozen=True)
class Goal:
    """What the recipe asks of the answers, for a method that stops as soon as it holds on dev.

    ``primary`` is the output that is judged; limits that are ``None`` are not asked for.
    """

    primary: str
    classification: bool
    agreement_min: float | None = None
    top1_drop_max: float | None = None
    sqnr_db_min: float | None = None

    @property
    def asks(self) -> bool:
        """Whether there is any limit to hold."""
        answers = self.agreement_min is not None or self.top1_drop_max is not None
        return (answers and self.classification) or self.sqnr_db_min is not None

    def holds(self, figures: Candidate) -> bool:
        """Whether figures measured on dev keep the limits with a margin: a quarter of the changed
        answers and of the top-1 that may be lost, and 1 dB. Without any limit nothing is ever
        enough."""
        asked = []
        if figures.agreement is not None:
            changed = 1 - figures.agreement
            if self.agreement_min is not None:
                asked.append(changed <= (1 - self.agreement_min) * _ALLOWED)
            if self.top1_drop_max is not None:
                # Without labels: no more can be lost than changes.
                lost = changed if figures.top1_drop is None else figures.top1_drop
                asked.append(lost <= self.top1_drop_max * _ALLOWED)
        if self.sqnr_db_min is not None:
            asked.append(figures.primary_db >= self.sqnr_db_min + 1.0)
        return bool(asked) and all(asked)


@dataclass(frozen=True)
class QuantizeJob:
    """All a method may use: a ``model`` of a kind it accepts, a ``folder`` to write its file to."""

    model: SourceModel
    goal: Goal
    options: QuantizeSpec
    calibration: Dataset
    open_dev: Callable[[], Dataset]
    """The dev samples, opened when first asked for: every choice is made on these."""
    open_training: Callable[[int], Dataset]
    """At most so many samples of the calibration role, for fine-tuning."""
    folder: Path
    cache: Cache
    progress: Progress
    threads: int


@dataclass(frozen=True)
class Quantized:
    """What a method made. ``baseline`` is the float model in the artefact's own format, which size
    and speed are compared with; ``calibration_cached`` says whether the samples were run at all;
    ``alternatives`` are artefacts of the same model made otherwise, by what each is called in the
    report, where they are measured beside it; ``choices`` is what was chosen on dev on the way;
    ``warnings`` are sentences for the report that the method has said already."""

    artefact: Artefact
    baseline: SourceModel
    calibration_cached: bool
    alternatives: Mapping[str, Artefact] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    warnings: tuple[str, ...] = ()


class Method(Protocol):
    """A way to compress a model."""

    def quantize(self, job: QuantizeJob) -> Quantized:
        """Make the artefact.

        Raises:
            ConversionError: the engine refused the model.
        """


@dataclass(frozen=True, kw_only=True)
class MethodEntry(Entry):
    """A row of the table of methods."""

    accepts: tuple[ModelKind, ...]
    produces: ArtefactFormat
    options: tuple[str, ...]
    """The keys of ``QuantizeSpec`` it honours, beside method, bridge and seed."""
    backends: tuple[str, ...] = ()
    """Values of ``quantize.backend`` it can make an artefact for, beside auto."""
    end_dtypes: tuple[str, ...] = ("int8", "uint8", "float32")
    """Values of ``input_dtype`` and ``output_dtype`` it can make, where it honours these."""
    estimator_of_modules: bool = False
    """Whether a rule of ``modules`` can give an estimator."""
    full_integer: bool = False
    """Whether it promises that every operator and both ends are what the recipe asks for."""

    def load(self) -> Method:
        """See ``Entry.make``."""
        method: Method = self.make()
        return method
