"""tflite-runtime, in its isolated environment, as a session that only keeps time."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.environments import Environment
from edgekit.errors import SessionError, UsageError, WorkerError
from edgekit.runtimes import open_session
from edgekit.runtimes.feeds import check_feeds
from edgekit.runtimes.session import ClosingSession, SessionInfo
from edgekit.runtimes.turns import (
    WARM_UP_BATCH,
    WARM_UP_GAIN,
    WARM_UP_LIMIT_S,
    WARM_UP_MAX_RUNS,
)
from edgekit.types import Array, Feeds

WORKER = "run_tflite_runtime"
WARM_UP = {
    "batch": WARM_UP_BATCH,
    "gain": WARM_UP_GAIN,
    "max_runs": WARM_UP_MAX_RUNS,
    "limit_s": WARM_UP_LIMIT_S,
}
"""Every call is a process of its own, which nothing has warmed up: each does it by that rule."""
TIMEOUT_S = 600.0


class TFLiteRuntimeSession(ClosingSession):
    """The ``.tflite`` at ``file`` on tflite-runtime, each ``time_ms`` in a fresh process."""

    def __init__(self, file: Path, environment: Environment, *, threads: int) -> None:
        """Raises:
        SessionError: LiteRT does not take the file, from which its inputs are known.
        """
        self._file = file.resolve()
        self._environment = environment
        with open_session(file) as session:
            self._info = replace(
                session.info, runtime="tflite-runtime", version="", threads=threads, max_batch=1
            )

    @property
    def info(self) -> SessionInfo:
        """The version is known once something has run."""
        return self._info

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Raises UsageError: see ``measure.older_runtime`` for its answers."""
        raise UsageError("this session of tflite-runtime only keeps time")

    def time_ms(self, feeds: Feeds, repeats: int) -> Array:
        """See ``Session.time_ms``."""
        arrays: dict[str, Any] = check_feeds(feeds, self._info.inputs, model=self._file.name)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            folder = Path(name)
            np.savez(folder / "feeds.npz", **arrays)
            request = {
                "model": self._file,
                "feeds": folder / "feeds.npz",
                "threads": self._info.threads,
                "warm_up": WARM_UP,
                "repeats": repeats,
            }
            try:
                said = self._environment.run(WORKER, request, folder=folder, timeout_s=TIMEOUT_S)
            except WorkerError as error:
                raise SessionError(
                    f"{self._file.name} does not run on tflite-runtime: {error.message}"
                ) from error
        self._info = replace(self._info, version=str(said["runtime"]))
        return np.array(said["times_ms"], np.float64)

    def close(self) -> None:
        """Nothing is open."""
