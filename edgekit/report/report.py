"""The Report: everything one run found, computed once and rendered many ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bridges.verify import Hop
from edgekit.choose import Choice
from edgekit.gate.baseline import packed_right
from edgekit.gate.check import Check, Verdict, verdict
from edgekit.measure.evidence import Evidence
from edgekit.measure.host import Host
from edgekit.measure.latency import HostLatency
from edgekit.measure.measurements import Alternative, NotMeasured
from edgekit.measure.memory import Memory
from edgekit.measure.older_runtime import OlderRuntime
from edgekit.measure.on_devices import OnDevices
from edgekit.measure.size import Size
from edgekit.numerics.fidelity import Fidelity
from edgekit.report.devices import devices_to_list
from edgekit.runs.run import Stage
from edgekit.tasks.task import MetricAccuracy
from edgekit.types import KEPT_FLOAT, Artefact, ArtefactFacts, FloatOp

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What one run found. ``folder`` is where it stands; rates are fractions of 1."""

    recipe: str
    folder: Path
    artefact: Artefact
    facts: ArtefactFacts
    size: Size
    fidelity: Fidelity
    accuracy: Mapping[str, MetricAccuracy]
    latency: HostLatency | NotMeasured
    host: Host
    checks: tuple[Check, ...]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()
    """Sentences that qualify the figures: warnings, assumptions, what a number does not prove."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The datasets: name, role, samples, fingerprint."""
    bridges: tuple[Hop, ...] = ()
    """The numeric check of each hop on the way to the method."""
    alternatives: Mapping[str, Alternative] = dataclasses.field(default_factory=dict)
    """The same model made otherwise, e.g. without fine-tuning: measured, not judged."""
    choices: tuple[Choice, ...] = ()
    """What was chosen on the dev samples, from what, and why."""
    older_runtime: OlderRuntime | NotMeasured | None = None
    """The same file on tflite-runtime 2.14, where the recipe asks for it."""
    memory: Memory | NotMeasured | None = None
    """What the artefact takes in memory, where the recipe limits it."""
    evidence: Evidence = dataclasses.field(default_factory=Evidence)
    """What stands behind the figures; in evidence.json, not in report.json."""
    devices: tuple[OnDevices, ...] = ()
    """What phones measured, by entry of the recipe's ``latency.devices``."""

    @property
    def verdict(self) -> Verdict:
        return verdict(self.checks)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 a required check failed, 3 a required check could not be decided."""
        return self.verdict.exit_code

    def at(self, confidence: float) -> Report:
        """With the intervals of accuracy and speed-up at another confidence."""
        latency = self.latency
        return dataclasses.replace(
            self,
            accuracy={name: metric.at(confidence) for name, metric in self.accuracy.items()},
            latency=latency.at(confidence) if isinstance(latency, HostLatency) else latency,
        )

    def to_dict(self) -> dict[str, Any]:
        """report.json, schema 1."""
        return {
            "schema": SCHEMA,
            "recipe": self.recipe,
            "method": self.artefact.method,
            "verdict": self.verdict.value,
            "exit_code": self.exit_code,
            "size": dataclasses.asdict(self.size),
            "fidelity": dataclasses.asdict(self.fidelity),
            "accuracy": _metrics(self.accuracy),
            "right": packed_right(self.accuracy),
            "latency": self._latency(),
            "older_runtime": _older_runtime(self.older_runtime),
            "memory": _memory(self.memory),
            "artefact": self._artefact(),
            "alternatives": {
                name: {
                    "size": dataclasses.asdict(other.size),
                    "fidelity": dataclasses.asdict(other.fidelity),
                    "accuracy": _metrics(other.accuracy),
                }
                for name, other in self.alternatives.items()
            },
            "choices": [choice.to_dict() for choice in self.choices],
            "checks": [
                {**dataclasses.asdict(check), "status": check.status.value} for check in self.checks
            ],
            "data": dict(self.data),
            "bridges": [dataclasses.asdict(hop) for hop in self.bridges],
            "notes": list(self.notes),
            "stages": [dataclasses.asdict(stage) for stage in self.stages],
        }

    def _latency(self) -> dict[str, Any]:
        host: dict[str, Any]
        if isinstance(self.latency, NotMeasured):
            host = {"measured": False, "why": self.latency.why}
        else:
            fields = dataclasses.fields(self.latency)
            host = {f.name: getattr(self.latency, f.name) for f in fields if f.name != "raw"}
        host |= dataclasses.asdict(self.host)
        found = [each for entry in self.devices for each in entry.found]
        none = {"measured": False, "why": "no device was asked for"}
        return {"host": host, "devices": devices_to_list(found) if found else none}

    def _artefact(self) -> dict[str, Any]:
        facts = self.facts
        return {
            "path": self.artefact.path.name,
            "format": self.artefact.format.value,
            "runtime": self.artefact.runtime,
            "input_dtype": facts.input_dtypes[0],
            "output_dtype": facts.output_dtypes[0],
            "int8_mac_fraction": facts.int8_mac_fraction,
            "float_ops": (
                None if facts.float_ops is None else [_operator(op) for op in facts.float_ops]
            ),
            "select_tf_ops": [_operator(op) for op in facts.select_tf_ops],
            "transposes": facts.transposes,
            "ops": facts.ops,
            "macs": facts.macs,
            "modules": (
                None
                if facts.modules is None
                else [dataclasses.asdict(module) for module in facts.modules]
            ),
            # Each operator that was kept says so itself.
            **{key: note for key, note in self.artefact.notes.items() if key != KEPT_FLOAT},
        }


def _metrics(accuracy: Mapping[str, MetricAccuracy]) -> dict[str, Any]:
    return {name: metric.to_dict() for name, metric in accuracy.items()}


def _memory(found: Memory | NotMeasured | None) -> dict[str, Any] | None:
    if isinstance(found, NotMeasured):
        return {"measured": False, "why": found.why}
    return None if found is None else dataclasses.asdict(found)


def _older_runtime(found: OlderRuntime | NotMeasured | None) -> dict[str, Any] | None:
    if isinstance(found, NotMeasured):
        return {"measured": False, "why": found.why}
    if found is None:
        return None
    worst = None if found.worst is None else found.worst[0]
    return {**dataclasses.asdict(found), "agrees": found.agrees, "worst": worst}


def _operator(op: FloatOp) -> dict[str, str]:
    """``why`` stands only where there is one."""
    return {key: value for key, value in dataclasses.asdict(op).items() if value is not None}
