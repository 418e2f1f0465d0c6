"""The numeric check after every hop: does the converted model answer like the one it came from?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgekit.errors import MismatchError, UsageError
from edgekit.numerics.fidelity import fidelity
from edgekit.runtimes.predict import Predictions, predict
from edgekit.runtimes.session import Session
from edgekit.types import Sample

MIN_SQNR_DB = 60.0
"""Float rounding in another order of summation leaves well over 100 dB; a wrong layout, padding
or epsilon leaves less than 40."""


@dataclass(frozen=True)
class HopOutput:
    """One output, float against float."""

    name: str
    max_abs: float
    sqnr_db: float


@dataclass(frozen=True)
class Hop:
    """What the check of one hop found, and what the converted model is made of.

    ``ops`` and ``transposes`` are ``None`` where its format does not tell; ``seconds`` is what
    converting took when it was done, with the making of an environment where that had to be made
    first, and ``None`` where it led to nothing.
    """

    bridge: str
    samples: int
    outputs: tuple[HopOutput, ...]
    ops: int | None = None
    transposes: int | None = None
    seconds: float | None = None

    @property
    def sqnr_db(self) -> float:
        """That of the worst output."""
        return min(output.sqnr_db for output in self.outputs)


class WrongAnswersError(MismatchError):
    """A model that was converted, but answers otherwise; ``hop`` has the figures."""

    def __init__(self, message: str, hop: Hop, *, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.hop = hop


def converted_answers(bridge: str, after: Session, samples: Iterable[Sample]) -> Predictions:
    """What a converted model answers.

    Raises:
        MismatchError: it takes other inputs than the model it was made from.
        SessionError: it fails when it is run.
    """
    try:
        return predict(after, samples)
    except UsageError as error:
        raise MismatchError(f"{bridge} changed the model's inputs: {error.message}") from error


def verify_hop(bridge: str, before: Session, after: Session, samples: Sequence[Sample]) -> Hop:
    """Run ``samples`` through both models and compare every output by name.

    Raises:
        MismatchError: an input or output is missing, of another shape, or not finite.
        WrongAnswersError: an output differs by more than rounding.
    """
    expected, found = predict(before, samples), converted_answers(bridge, after, samples)
    try:
        compared = fidelity(
            expected, found, primary=next(iter(expected.outputs)), classification=False
        )
    except MismatchError as error:
        raise MismatchError(
            f"{bridge} changed the model: {error.message}", hint=error.hint
        ) from error
    outputs = tuple(
        HopOutput(name, output.max_abs, output.sqnr_db) for name, output in compared.outputs.items()
    )
    hop = Hop(bridge=bridge, samples=len(samples), outputs=outputs)
    for output in outputs:
        if output.sqnr_db < MIN_SQNR_DB:
            raise WrongAnswersError(
                f"{bridge} converted the model, but output {output.name!r} differs from the "
                f"source's by up to {output.max_abs:.3g} ({output.sqnr_db:.1f} dB; at least "
                f"{MIN_SQNR_DB:.0f} dB wanted) on {len(samples)} samples",
                hop,
                hint="Check the layout and shape in model.inputs; then report the model to the "
                "converter's authors.",
            )
    return hop
