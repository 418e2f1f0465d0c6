"""The Session seam: a loaded model, named arrays in, named arrays out.

Calibration, fidelity, accuracy, latency and verification know this module and nothing below it.
Every session speaks channels-last, whatever its model's own layout is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from edgekit.types import Array, Feeds, TensorInfo


@dataclass(frozen=True)
class SessionInfo:
    """What a session runs on, for reports and cache keys."""

    runtime: str
    """``"litert"``, ``"torch"``, ..."""
    version: str
    threads: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    max_batch: int
    """Largest batch one ``run`` takes; 1 where the graph has a fixed batch of one."""
    reference_only: bool = False
    """Whether the runtime stands in for the one of a product: right, but not as fast."""
    caveat: str | None = None
    """Why its times do not speak for a product, where they do not; for the report."""


class Session(Protocol):
    """A loaded model. Not safe for use from several threads at once."""

    @property
    def info(self) -> SessionInfo: ...

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One invocation in the model's own dtypes (an int8 input takes int8 here).

        Raises:
            SessionError: the runtime refused the feeds, failed, or died.
            UsageError: a name, shape or dtype that is not the model's.
        """

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """Milliseconds of ``repeats`` bare invocations: inputs are set before the clock starts.

        Returns a float64 array of shape ``(repeats,)``. No warm-up is done or dropped here.
        """

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosingSession(ABC):
    """The context manager of a session: leaving the block closes it. Base of every runtime's."""

    @abstractmethod
    def close(self) -> None:
        """See ``Session.close``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
