"""One run in progress: what all its stages share, and what the report will say of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgekit.cache import Cache
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.schema import Recipe


@dataclass(frozen=True)
class Stage:
    """One step of a run; ``cached`` when its result was taken from the cache."""

    name: str
    seconds: float
    cached: bool = False


@dataclass
class OpenStage:
    """A step under way; set ``cached`` when it did no work."""

    cached: bool = False


def usable_cores() -> int:
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0))


@dataclass
class Run:
    """Recipe, cache, progress and threads of a run; it accumulates stages and notes only."""

    recipe: Recipe
    cache: Cache = field(default_factory=Cache)
    progress: Progress = field(default_factory=SilentProgress)
    threads: int = field(default_factory=usable_cores)
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, reused: str | None = None) -> Iterator[OpenStage]:
        """Time a stage and record it; ``reused`` is what its cache holds, if not all of it."""
        stage, start = OpenStage(), time.perf_counter()
        yield stage
        self.stages.append(Stage(name, round(time.perf_counter() - start, 3), stage.cached))
        if stage.cached:
            self.progress.note(f"{reused or name}: taken from the cache")

    def note(self, text: str) -> None:
        """A sentence for the report that qualifies a figure."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """A note that is also said at once."""
        self.notes.append(text)
        self.progress.warn(text)
