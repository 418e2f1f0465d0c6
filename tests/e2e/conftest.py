"""The real models, run once a session by the real command; all tests look at what it left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Ran, edgekit


@dataclass(frozen=True)
class Finished:
    """A run that is over: what it printed and the folder it left."""

    ran: Ran
    folder: Path

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def finished(recipe: str, home: Path) -> Finished:
    """The run folder of a shipped recipe, made in ``home``."""
    arguments = ("quantize", "--recipe", recipe, "--out", "run")
    return Finished(edgekit(*arguments, cwd=home, timeout_s=290), home / "run")


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("mobilenet_int8", tmp_path_factory.mktemp("mobilenet"))


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("efficientnet_lite0_int8", tmp_path_factory.mktemp("lite0"))


@pytest.fixture(scope="session")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("fashion_int8", tmp_path_factory.mktemp("fashion"))
