"""What ``edgekit compare`` found between two files: one object, for the terminal and as JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

from edgekit.measure.latency import HostLatency
from edgekit.measure.layers import LayerErrors
from edgekit.measure.measurements import NotMeasured
from edgekit.numerics.fidelity import Fidelity
from edgekit.report.inspection import Inspection
from edgekit.report.layers import layers_to_list
from edgekit.types import TensorInfo

SCHEMA = 1


@dataclass(frozen=True)
class Difference:
    """How many operators of one name each file has."""

    op: str
    a: int
    b: int


@dataclass(frozen=True)
class Comparison:
    """Two model files side by side: ``b`` against ``a``.

    ``samples`` says in words what both were run on; ``real`` whether that is data, not random
    numbers. ``fidelity`` holds the answers of ``b`` against those of ``a``, ``latency`` times ``a``
    as its float side. ``layers`` compares by activation where one file was quantized from the
    other.
    """

    a: Inspection
    b: Inspection
    samples: str
    real: bool
    fidelity: Fidelity | NotMeasured
    latency: HostLatency | NotMeasured
    layers: LayerErrors | NotMeasured

    @property
    def size_ratio(self) -> float:
        """Bytes of ``b`` over those of ``a``."""
        return self.b.size_bytes / self.a.size_bytes

    @property
    def operators(self) -> tuple[Difference, ...]:
        """The operators whose numbers differ, by name."""
        before, after = (Counter(op.op for op in each.file.operators) for each in (self.a, self.b))
        return tuple(
            Difference(op, before[op], after[op])
            for op in sorted(before | after)
            if before[op] != after[op]
        )

    @property
    def contract(self) -> tuple[str, ...]:
        """What an app has to feed or read differently, in words; empty if nothing."""
        ends = (
            ("input", self.a.file.inputs, self.b.file.inputs),
            ("output", self.a.file.outputs, self.b.file.outputs),
        )
        found = []
        for role, before, after in ends:
            if len(before) != len(after):
                found.append(f"{len(before)} {role}s in A, {len(after)} in B")
            for number, (one, other) in enumerate(zip(before, after, strict=False)):
                found += [f"{role} {number}: {what}" for what in _changes(one, other)]
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the keys are documented in docs/inspect.md."""
        return {
            "schema": SCHEMA,
            "a": _file(self.a),
            "b": _file(self.b),
            "size_ratio": self.size_ratio,
            "operators": [dataclasses.asdict(each) for each in self.operators],
            "contract": list(self.contract),
            "samples": {"what": self.samples, "real": self.real},
            "fidelity": _or_why(self.fidelity) or _fidelity(self.fidelity),
            "latency": _or_why(self.latency) or _latency(self.latency),
            "layers": _or_why(self.layers) or _layers(self.layers),
        }


def _changes(a: TensorInfo, b: TensorInfo) -> list[str]:
    found = [
        f"{what} {before} in A, {after} in B"
        for what, before, after in (
            ("name", a.name, b.name),
            ("shape", list(a.shape), list(b.shape)),
            ("type", a.dtype, b.dtype),
        )
        if before != after
    ]
    if a.dtype == b.dtype and a.quant != b.quant:
        found.append(f"{_scale(a)} in A, {_scale(b)} in B")
    return found


def _scale(info: TensorInfo) -> str:
    if info.quant is None:
        return "no scale"
    return f"scale {info.quant.scale:.6g} zero point {info.quant.zero_point}"


def _file(found: Inspection) -> dict[str, Any]:
    facts = found.file.facts
    return {
        "file": str(found.path),
        "format": found.format.value,
        "kind": found.kind,
        "size_bytes": found.size_bytes,
        "weights_bytes": found.file.weights_bytes,
        "ops": facts.ops,
        "macs": facts.macs,
        "int8_mac_fraction": facts.int8_mac_fraction,
        "transposes": facts.transposes,
    }


def _or_why(figure: object) -> dict[str, Any] | None:
    return {"measured": False, "why": figure.why} if isinstance(figure, NotMeasured) else None


def _fidelity(fidelity: Fidelity | NotMeasured) -> dict[str, Any]:
    assert isinstance(fidelity, Fidelity)
    return dataclasses.asdict(fidelity)


def _latency(latency: HostLatency | NotMeasured) -> dict[str, Any]:
    assert isinstance(latency, HostLatency)
    return {
        "a_ms": latency.float_ms,
        "b_ms": latency.quantized_ms,
        "ratio": 1 / latency.speedup,
        "ci_low": 1 / latency.ci_high,
        "ci_high": 1 / latency.ci_low,
        "a_engine": latency.float_engine,
        "b_engine": latency.quantized_engine,
        "threads": latency.threads,
        "rounds": latency.rounds,
        "caveat": latency.caveat,
    }


def _layers(layers: LayerErrors | NotMeasured) -> list[dict[str, Any]]:
    assert isinstance(layers, LayerErrors)
    return layers_to_list(layers)
