"""The oldest TensorFlow Lite runtime that has every operator of a file."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.tflite.graph import Graph
from edgekit.tflite.op_versions import needed_version
from edgekit.tflite.runtime_versions import oldest_runtime, release_key


@dataclass(frozen=True)
class VersionNeed:
    """An operator in one version: what the file declares, what its types need, and the oldest
    release that has the higher of the two; ``None`` where no table says."""

    op: str
    count: int
    declared: int
    needed: int
    runtime: str | None


@dataclass(frozen=True)
class RuntimeNeed:
    """``oldest`` is the release that has all of ``versions``, those that are not known aside;
    ``None`` where none is known."""

    versions: tuple[VersionNeed, ...]

    @property
    def oldest(self) -> str | None:
        known = [need.runtime for need in self.versions if need.runtime is not None]
        return max(known, key=release_key, default=None)

    @property
    def because(self) -> tuple[VersionNeed, ...]:
        """The operators that ask for the oldest release."""
        return tuple(need for need in self.versions if need.runtime == self.oldest is not None)

    @property
    def understated(self) -> tuple[VersionNeed, ...]:
        """Those whose declared version is lower than their types need."""
        return tuple(need for need in self.versions if need.declared < need.needed)

    @property
    def unknown(self) -> tuple[VersionNeed, ...]:
        """Those in no table: custom operators, and versions that are newer than it."""
        return tuple(need for need in self.versions if need.runtime is None)


def runtime_need(graph: Graph) -> RuntimeNeed:
    """Of the main graph and those it calls."""
    counts: dict[tuple[str, int, int], int] = {}
    for owner in (graph, *graph.inner):
        for op in owner.ops:
            key = (op.name, op.version, needed_version(owner, op))
            counts[key] = counts.get(key, 0) + 1
    return RuntimeNeed(
        tuple(
            VersionNeed(op, count, declared, needed, oldest_runtime(op, max(declared, needed)))
            for (op, declared, needed), count in counts.items()
        )
    )
