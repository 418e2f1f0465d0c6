"""What every test stands on: an own cache folder, few threads, repeatable hypothesis runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.phones import adb, adb_server, plug

__all__ = ["adb", "adb_server", "plug"]  # fixtures of several rooms

# Timing out on a busy machine says nothing about the code.
settings.register_profile("edgekit", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("edgekit")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def own_cache_and_few_threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's cache is read or written; libraries start no more than two threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            if name not in os.environ:
                patch.setenv(name, "2")
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds setup.cfg."""
    return REPOSITORY
