"""The figures of report.json in words: what every rendering shows, said in one place.

``report`` is always such a document, one that fits its schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.report.devices import device_row
from edgekit.report.units import latency_text, size_text

_COARSE = 0.1
"""Width of an interval of a rate from which whole points are enough."""


@dataclass(frozen=True)
class Row:
    """One figure, float beside quantized; a text is empty where there is nothing to say."""

    label: str
    float: str
    quantized: str
    change: str


def figures(report: Mapping[str, Any]) -> Iterator[Row]:
    """All of them, size first."""
    size, fidelity = report["size"], report["fidelity"]
    yield _size("size", size)
    yield _latency(report["latency"]["host"])
    devices = report["latency"]["devices"]
    if isinstance(devices, list):  # a mapping says why there is none
        yield from (Row(*device_row(each)) for each in devices)
    for name, metric in report["accuracy"].items():
        yield Row(
            f"{name}, {metric['n']} labelled",
            metric_text(metric, metric["float"]),
            metric_text(metric, metric["quantized"]),
            f"{change_text(metric)} {interval_text(metric)}".rstrip(),
        )
    if fidelity["agreement"] is not None:
        yield Row("same class", "", f"{fidelity['agreement']:.2%}", f"{fidelity['n']} samples")
    for name, output in fidelity["outputs"].items():
        yield Row(
            "SQNR" if len(fidelity["outputs"]) == 1 else f"SQNR of {name}",
            "",
            f"{output['sqnr_db']:.1f} dB",
            f"max error {output['max_abs']:.3g}",
        )
    yield from _older_runtime(report.get("older_runtime"))
    for name, other in report.get("alternatives", {}).items():
        yield from _alternative(name, other)
    yield from _int8_shares(report["artefact"])


def is_rate(metric: Mapping[str, Any]) -> bool:
    """Whether it is a share of 1, which people read in percent."""
    return (metric.get("low", 0), metric.get("high", 1)) == (0, 1)


def metric_text(metric: Mapping[str, Any], value: float) -> str:
    """A value of the metric."""
    return f"{value:.1%}" if is_rate(metric) else f"{value:.4g}"


def change_of(metric: Mapping[str, Any], drop: float) -> float:
    """Quantized minus float where ``drop`` was lost."""
    return 0.0 - drop if metric.get("higher_is_better", True) else drop


def change_text(metric: Mapping[str, Any]) -> str:
    """Quantized minus float: of a rate in points, else in the metric's own unit."""
    change = change_of(metric, metric["drop"])
    return f"{change * 100:+.1f} points" if is_rate(metric) else f"{change:+.3g}"


def interval_text(metric: Mapping[str, Any]) -> str:
    """Of the change; of a rate no more digits than the number of samples can tell. Empty where
    there is none."""
    low, high = metric["ci_low"], metric["ci_high"]
    if low is None or high is None:
        return ""
    ends = sorted((change_of(metric, low), change_of(metric, high)))
    if not is_rate(metric):
        return "[" + ", ".join(f"{end:+.3g}" for end in ends) + "]"
    digits = 0 if high - low > _COARSE else 1
    return "[" + ", ".join(f"{end * 100:+.{digits}f}" for end in ends) + "]"


def value_text(value: float | str | None) -> str:
    """A limit or value of a check."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def passed_text(report: Mapping[str, Any]) -> str:
    """How many of the checks that decide passed."""
    required = [check for check in report["checks"] if check["required"]]
    passed = sum(check["status"] == "pass" for check in required)
    return f"{passed} of {len(required)} required checks passed"


def status_text(check: Mapping[str, Any]) -> str:
    """What became of a check, in words."""
    status = str(check["status"]).replace("_", " ")
    return status if check["required"] else f"{status}, not required"


def _size(label: str, size: Mapping[str, Any]) -> Row:
    return Row(
        label, size_text(size["float_bytes"]), size_text(size["bytes"]), f"{size['ratio']:.3f} x"
    )


def _latency(host: Mapping[str, Any]) -> Row:
    if "float_ms" not in host:
        return Row("host latency", "", "", f"not measured: {host['why']}")
    threads = host.get("threads")
    label = "host latency"
    if threads is not None:
        label += f", {threads} thread{'s' if threads > 1 else ''}"
    if host.get("reference_only"):
        label += " (reference only)"
    return Row(
        label,
        latency_text(host["float_ms"]),
        latency_text(host["quantized_ms"]),
        f"{host['speedup']:.2f} x [{host['ci_low']:.2f}, {host['ci_high']:.2f}]",
    )


def _older_runtime(found: Mapping[str, Any] | None) -> Iterator[Row]:
    output = None if not found else found.get("outputs", {}).get(found.get("worst"))
    if not found or not output:
        return
    yield Row(
        f"SQNR on {found['runtime']}",
        "",
        f"{output['sqnr_db']:.1f} dB",
        f"LiteRT {output['litert_sqnr_db']:.1f} dB on these {found['n']} samples",
    )


def _alternative(name: str, other: Mapping[str, Any]) -> Iterator[Row]:
    yield _size(f"size {name}", other["size"])
    for metric_name, metric in other["accuracy"].items():
        yield Row(
            f"{metric_name} {name}",
            metric_text(metric, metric["float"]),
            metric_text(metric, metric["quantized"]),
            change_text(metric),
        )
    fidelity = other["fidelity"]
    if fidelity["agreement"] is None:
        label, figure = "SQNR", f"{fidelity['sqnr_db']:.1f} dB"
    else:
        label, figure = "same class", f"{fidelity['agreement']:.2%}"
    yield Row(f"{label} {name}", "", figure, f"{fidelity['n']} samples")


def _int8_shares(artefact: Mapping[str, Any]) -> Iterator[Row]:
    modules, float_ops = artefact.get("modules"), artefact["float_ops"]
    if modules is not None:
        int8 = sum(module["compute"] != "float" for module in modules)
        yield Row(
            "modules in INT8", "", f"{int8} of {len(modules)}", f"{len(modules) - int8} float"
        )
    fraction = artefact["int8_mac_fraction"]
    if fraction is not None and float_ops is not None:
        # A share short of all is never rounded up to it.
        share = "100%" if fraction == 1 else f"{min(fraction, 0.999):.1%}"
        of = f" of {artefact['ops']}" if artefact.get("ops") is not None else ""
        yield Row("MACs in INT8", "", share, f"{len(float_ops)}{of} ops float")
