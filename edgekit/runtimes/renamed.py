"""A session whose model calls its inputs and outputs otherwise than those who use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgekit.runtimes.session import ClosingSession, Session, SessionInfo
from edgekit.types import Array, Feeds


def in_own_names(feeds: Feeds, names: Mapping[str, str]) -> dict[str, Array]:
    """``feeds`` by the names that the model itself has; ``names`` as of ``RenamedSession``."""
    own = {name: own for own, name in names.items()}
    return {own.get(name, name): array for name, array in feeds.items()}


class RenamedSession(ClosingSession):
    """``names`` go from the model's own names to those it is used by; others stay."""

    def __init__(self, session: Session, names: Mapping[str, str]) -> None:
        self._session = session
        self._names = dict(names)

    @property
    def info(self) -> SessionInfo:
        info = self._session.info
        inputs, outputs = (
            tuple(replace(end, name=self._names.get(end.name, end.name)) for end in ends)
            for ends in (info.inputs, info.outputs)
        )
        return replace(info, inputs=inputs, outputs=outputs)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        answers = self._session.run(in_own_names(feeds, self._names))
        return {self._names.get(name, name): array for name, array in answers.items()}

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        return self._session.time_ms(in_own_names(feeds, self._names), repeats)

    def close(self) -> None:
        self._session.close()
