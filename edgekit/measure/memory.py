"""What an artefact takes in memory: the peak of a process that loads it and runs one sample."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.runtimes.child import ChildSession
from edgekit.runtimes.predict import stored_feeds
from edgekit.runtimes.renamed import RenamedSession
from edgekit.types import Artefact, Sample


@dataclass(frozen=True)
class Memory:
    """``peak_bytes`` is the resident memory of the process at its highest, less what it had with
    the runtime imported and no model; ``threads`` those it ran on. What the runtime itself takes on
    first use is part of it."""

    peak_bytes: int
    threads: int


def measure_memory(artefact: Artefact, sample: Sample, *, threads: int) -> Memory:
    """Load ``artefact`` in a fresh process, run ``sample`` once. Pages of a mapped file count as
    they are read.

    Raises:
        UsageError: the system does not tell (it is not Linux).
        SessionError: the artefact fails.
    """
    with ChildSession(
        artefact.path, threads=threads, runtime=artefact.runtime, weighed=True
    ) as child:
        session = RenamedSession(child, artefact.renamed)
        session.run(stored_feeds(session, sample))
        return Memory(child.peak_bytes(), threads)
