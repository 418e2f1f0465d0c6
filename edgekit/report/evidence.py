"""evidence.json: what the pages show beyond the figures of report.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from edgekit.measure.evidence import Evidence, mentioned_classes, thinned
from edgekit.report.layers import layers_to_list

SCHEMA = 1


def evidence_to_dict(evidence: Evidence, class_names: Sequence[str] | None) -> dict[str, Any]:
    """JSON-able. ``class_names`` are in class order; those of classes that occur are kept."""
    mentioned = sorted(set(mentioned_classes(evidence.changes)))
    times = evidence.times
    return {
        "schema": SCHEMA,
        "classes": {
            str(index): class_names[index]
            for index in mentioned
            if class_names is not None and index < len(class_names)
        },
        "changes": [dataclasses.asdict(each) for each in evidence.changes],
        "times": (
            None
            if times is None
            else {
                "float_ms": thinned(times.float_ms),
                "quantized_ms": thinned(times.quantized_ms),
            }
        ),
        "layers": _layers(evidence),
    }


def _layers(evidence: Evidence) -> dict[str, Any] | None:
    if evidence.layers is None:
        return None if evidence.layers_why is None else {"why": evidence.layers_why}
    return {
        "role": evidence.layers_role,
        "samples": evidence.layers.samples,
        "layers": layers_to_list(evidence.layers),
    }
