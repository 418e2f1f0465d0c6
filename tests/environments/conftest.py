from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.environments import EnvironmentSpec
from edgekit.progress import SilentProgress, Task
from tests.environments import tiny


class Told(SilentProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.tasks: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        self.tasks.append(description)
        with super().task(description, total) as task:
            yield task


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EnvironmentSpec:
    """The environment ``tiny``; its cache folder is ``tmp_path / "cache"``."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    tiny.wheel(folder)
    return tiny.register(monkeypatch, folder)
