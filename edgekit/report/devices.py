"""What devices measured: ``latency.devices[]`` of report.json and of ``bench --json``, and rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.measure.devices.device import (
    AnswersOnly,
    DeviceFailure,
    DeviceLatency,
    Found,
    ModelTimes,
    fallback,
)
from edgekit.measure.devices.prediction import surprise
from edgekit.report.units import latency_text


def devices_to_list(found: Sequence[Found]) -> list[dict[str, Any]]:
    """JSON-able; one that measured nothing has ``measured: false`` and ``why``."""
    return [_to_dict(each) for each in found]


def _to_dict(found: Found) -> dict[str, Any]:
    match found:
        case DeviceFailure():
            return _failure(found)
        case AnswersOnly():
            return _answers_only(found)
    return _latency(found)


def device_row(found: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What was measured, float, quantized and change, for tables, of an item of the list."""
    requested = found["delegate_requested"]
    if not found["measured"]:
        what = "answers only" if "answers" in found else "not measured"
        return (f"{found['device']}, {requested}", "", "", what)
    change = ""
    if found["speedup"] is not None:
        change = f"{found['speedup']:.2f} x [{found['ci_low']:.2f}, {found['ci_high']:.2f}]"
    return (
        f"{found['model']} ({found['device']}), {requested}"
        + ("" if found["fallback"] is None else ", which did not take it whole"),
        "" if found["float"] is None else latency_text(found["float"]["median_ms"]),
        latency_text(found["median_ms"]),
        change if found["fit"] else f"{change} not to be believed".strip(),
    )


def _failure(failure: DeviceFailure) -> dict[str, Any]:
    return {
        "device": failure.device,
        "measured": False,
        "why": failure.error.message,
        "delegate_requested": failure.requested.value,
        "log": None if failure.log is None else failure.log.name,
    }


def _answers_only(found: AnswersOnly) -> dict[str, Any]:
    return {
        "device": found.device,
        "measured": False,
        "why": found.why,
        "engine": found.engine,
        "delegate_requested": found.requested.value,
        "answers": dataclasses.asdict(found.answers),
        "warnings": list(found.warnings),
    }


def _latency(latency: DeviceLatency) -> dict[str, Any]:
    delegation = latency.quantized.delegation
    return {
        "device": latency.device,
        "measured": True,
        "serial": latency.serial,
        "model": latency.model,
        "engine": latency.engine,
        "engine_sha256": latency.engine_sha256,
        "flags": list(latency.flags),
        "delegate_requested": latency.requested.value,
        "delegate_effective": None if delegation.effective is None else delegation.effective.value,
        "delegate_complete": delegation.complete,
        "delegate_nodes": delegation.nodes,
        "graph_nodes": delegation.graph_nodes,
        "delegate_partitions": delegation.partitions,
        "fallback": fallback(latency),
        "predicted": None if latency.predicted is None else dataclasses.asdict(latency.predicted),
        "surprise": surprise(latency),
        **_times(latency.quantized),
        "float": None if latency.reference is None else _times(latency.reference),
        "speedup": latency.speedup,
        "ci_low": latency.ci_low,
        "ci_high": latency.ci_high,
        "threads": latency.threads,
        "rounds": latency.rounds,
        "attempts": latency.attempts,
        "fit": latency.unfit is None,
        "unfit_why": latency.unfit,
        "answers": None if latency.answers is None else dataclasses.asdict(latency.answers),
        "before": dict(latency.before),
        "after": dict(latency.after),
        "warnings": list(latency.warnings),
        "log": None if latency.log is None else latency.log.name,
    }


def _times(times: ModelTimes) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(times)
        if field.name != "delegation"
        for value in [getattr(times, field.name)]
    }
