"""What ``edgekit inspect`` found in a file: one object, for the terminal and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.report.float_islands import FloatIsland
from edgekit.tflite.delegates import DelegatePlan
from edgekit.tflite.runtime_need import RuntimeNeed
from edgekit.types import ArtefactFormat, FileFacts, OperatorFact, TensorInfo

SCHEMA = 1


@dataclass(frozen=True)
class OperatorGroup:
    """The operators of one name and types; ``mac_fraction`` is their share of the file's."""

    op: str
    dtypes: str
    count: int
    macs: int
    mac_fraction: float


@dataclass(frozen=True)
class Inspection:
    """What a model file really is.

    ``kind`` says it in words. ``islands`` are runs of float operators among integer ones.
    ``runtime`` and ``delegates`` are of ``.tflite`` files only, ``None`` and empty of others; the
    delegates' plans are predictions from the file.
    """

    path: Path
    format: ArtefactFormat
    kind: str
    size_bytes: int
    file: FileFacts
    islands: tuple[FloatIsland, ...]
    runtime: RuntimeNeed | None
    delegates: tuple[DelegatePlan, ...]

    @property
    def groups(self) -> tuple[OperatorGroup, ...]:
        """Most multiply-accumulates first, then most operators."""
        return group(self.file.operators)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the keys are documented in docs/inspect.md."""
        facts = self.file.facts
        return {
            "schema": SCHEMA,
            "file": str(self.path),
            "format": self.format.value,
            "kind": self.kind,
            "size_bytes": self.size_bytes,
            "weights_bytes": self.file.weights_bytes,
            "inputs": [_end(info) for info in self.file.inputs],
            "outputs": [_end(info) for info in self.file.outputs],
            "ops": facts.ops,
            "macs": facts.macs,
            "int8_mac_fraction": facts.int8_mac_fraction,
            "transposes": facts.transposes,
            "float_ops": [dataclasses.asdict(op) for op in facts.float_ops or ()],
            "float_islands": [dataclasses.asdict(island) for island in self.islands],
            "groups": [dataclasses.asdict(each) for each in self.groups],
            "operators": [dataclasses.asdict(op) for op in self.file.operators],
            "metadata": dict(self.file.metadata),
            "runtime": None if self.runtime is None else _runtime(self.runtime),
            "delegates": [_delegate(plan) for plan in self.delegates],
        }


def group(operators: Iterable[OperatorFact]) -> tuple[OperatorGroup, ...]:
    """Operators by name and types."""
    found: dict[tuple[str, str], list[OperatorFact]] = {}
    for operator in operators:
        found.setdefault((operator.op, operator.dtypes), []).append(operator)
    macs = {key: sum(each.macs for each in inside) for key, inside in found.items()}
    total = sum(macs.values())
    groups = [
        OperatorGroup(*key, len(inside), macs[key], macs[key] / total if total else 0.0)
        for key, inside in found.items()
    ]
    return tuple(sorted(groups, key=lambda each: (-each.macs, -each.count, each.op)))


def _end(info: TensorInfo) -> dict[str, Any]:
    """A free size is -1."""
    return {
        "name": info.name,
        "shape": list(info.shape),
        "dtype": info.dtype,
        "scale": None if info.quant is None else info.quant.scale,
        "zero_point": None if info.quant is None else info.quant.zero_point,
    }


def _runtime(need: RuntimeNeed) -> dict[str, Any]:
    return {
        "oldest": need.oldest,
        "versions": [dataclasses.asdict(each) for each in need.versions],
        "understated": [each.op for each in need.understated],
        "unknown": [each.op for each in need.unknown],
    }


def _delegate(plan: DelegatePlan) -> dict[str, Any]:
    return {
        "delegate": plan.delegate,
        "predicted": True,
        "assumes": plan.assumes,
        "taken": plan.taken,
        "ops": len(plan.places),
        "mac_fraction": plan.mac_fraction,
        "partitions": plan.partitions,
        "left": [{"op": place.op, "layer": place.layer, "why": place.why} for place in plan.left],
    }
