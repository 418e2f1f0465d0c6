"""The report as a table a person takes in at a glance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.gate.check import Check, Status, Verdict
from edgekit.measure.latency import HostLatency
from edgekit.measure.older_runtime import OlderRuntime
from edgekit.report.choices import ChoiceTable
from edgekit.report.devices import device_row
from edgekit.report.report import Report
from edgekit.report.units import latency_text, size_text
from edgekit.tasks.task import MetricAccuracy

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.table import Table

_STATUS_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_MEASURED: "yellow",
}
FLOAT_MODULES_SHOWN = 4
"""More modules than this that stayed float are counted, not named."""
_COARSE = 0.1
"""Width of an interval of a rate from which whole points are enough."""
_VERDICT_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red"}


def render(report: Report) -> Group:
    """A rich renderable: figures, checks, what needs a word, and the verdict last, where the eye
    ends. Lines wrap at any width; nothing is cut off."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_figures(report), "", _checks(report.checks)]
    for check in report.checks:
        if check.status is not Status.PASS:
            label = (f"{check.name}:", _STATUS_STYLES[check.status])
            parts.append(Text.assemble(label, f" {check.why}"))
    parts += map(ChoiceTable, report.choices)
    parts += [Text(f"float: {line}", style="dim") for line in _float_modules(report)]
    parts += [
        Text(f"TensorFlow's own, megabytes more on a phone: {op}", style="yellow")
        for op in report.facts.select_tf_ops
    ]
    parts += [Text(f"note: {note}", style="dim") for note in report.notes]
    verdict = report.verdict
    parts.append(
        Text.assemble(
            (verdict.value.upper(), _VERDICT_STYLES.get(verdict, "bold yellow")),
            f"  {_summary(report.checks)}, exit code {report.exit_code}",
        )
    )
    parts.append(Text(f"{relative(report.folder)}{os.sep}", overflow="fold"))
    return Group(*parts)


def print_report(report: Report, console: Console) -> None:
    """Print ``report``; the console decides about width and colour."""
    console.print(render(report))


def relative(folder: Path) -> str:
    """``folder`` as seen from the working folder where it lies below it."""
    try:
        return str(Path(os.path.abspath(folder)).relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def _figures(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    title = f"{report.recipe} by {report.artefact.method}"
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.add_column("", overflow="fold")
    for heading in ("float", "quantized"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("change [95 %]", justify="right", overflow="fold")
    for row in _rows(report):
        table.add_row(*row)
    return table


def _rows(report: Report) -> Iterator[tuple[str, str, str, str]]:
    size, fidelity, latency = report.size, report.fidelity, report.latency
    yield (
        "size",
        size_text(size.float_bytes),
        size_text(size.bytes),
        f"{size.ratio:.3f} x",
    )
    if isinstance(latency, HostLatency):
        yield (
            f"host latency, {latency.threads} thread{'s' if latency.threads > 1 else ''}"
            + (" (reference only)" if latency.reference_only else ""),
            latency_text(latency.float_ms),
            latency_text(latency.quantized_ms),
            f"{latency.speedup:.2f} x [{latency.ci_low:.2f}, {latency.ci_high:.2f}]",
        )
    else:
        yield ("host latency", "", "", f"not measured: {latency.why}")
    for entry in report.devices:
        yield from map(device_row, entry.found)
    for name, metric in report.accuracy.items():
        yield (
            f"{name}, {metric.n} labelled",
            f"{metric.float:.1%}",
            f"{metric.quantized:.1%}",
            f"{0.0 - metric.drop * 100:+.1f} points {_interval(metric)}",
        )
    if fidelity.agreement is not None:
        yield ("same class", "", f"{fidelity.agreement:.2%}", f"{fidelity.n} samples")
    for name, output in fidelity.outputs.items():
        yield (
            "SQNR" if len(fidelity.outputs) == 1 else f"SQNR of {name}",
            "",
            f"{output.sqnr_db:.1f} dB",
            f"max error {output.max_abs:.3g}",
        )
    yield from _older_runtime_row(report)
    yield from _alternative_rows(report)
    facts = report.facts
    if facts.modules is not None:
        int8 = sum(module.compute != "float" for module in facts.modules)
        yield (
            "modules in INT8",
            "",
            f"{int8} of {len(facts.modules)}",
            f"{len(facts.modules) - int8} float",
        )
    if facts.int8_mac_fraction is not None and facts.float_ops is not None:
        yield (
            "MACs in INT8",
            "",
            _int8_share(facts.int8_mac_fraction),
            f"{len(facts.float_ops)} of {facts.ops} ops float",
        )


def _int8_share(fraction: float) -> str:
    """A share short of all is never rounded up to it."""
    return "100%" if fraction == 1 else f"{min(fraction, 0.999):.1%}"


def _interval(metric: MetricAccuracy) -> str:
    """Of the change, in points; no more digits than the number of samples can tell."""
    digits = 0 if metric.ci_high - metric.ci_low > _COARSE else 1
    ends = (0.0 - metric.ci_high, 0.0 - metric.ci_low)
    return "[" + ", ".join(f"{end * 100:+.{digits}f}" for end in ends) + "]"


def _older_runtime_row(report: Report) -> Iterator[tuple[str, str, str, str]]:
    found = report.older_runtime
    if isinstance(found, OlderRuntime) and found.worst is not None:
        output = found.worst[1]
        yield (
            f"SQNR on {found.runtime}",
            "",
            f"{output.sqnr_db:.1f} dB",
            f"LiteRT {output.litert_sqnr_db:.1f} dB on these {found.n} samples",
        )


def _alternative_rows(report: Report) -> Iterator[tuple[str, str, str, str]]:
    for name, other in report.alternatives.items():
        yield (
            f"size {name}",
            size_text(other.size.float_bytes),
            size_text(other.size.bytes),
            f"{other.size.ratio:.3f} x",
        )
        for metric_name, metric in other.accuracy.items():
            yield (
                f"{metric_name} {name}",
                f"{metric.float:.1%}",
                f"{metric.quantized:.1%}",
                f"{0.0 - metric.drop * 100:+.1f} points",
            )
        figure = (
            f"{other.fidelity.sqnr_db:.1f} dB"
            if other.fidelity.agreement is None
            else f"{other.fidelity.agreement:.2%}"
        )
        label = "SQNR" if other.fidelity.agreement is None else "same class"
        yield (f"{label} {name}", "", figure, f"{other.fidelity.n} samples")


def _float_modules(report: Report) -> Iterator[str]:
    """The modules that stayed float in a quantized file, with the reason; a few, then a count."""
    left = [module for module in report.facts.modules or () if module.compute == "float"]
    for module in left[:FLOAT_MODULES_SHOWN]:
        kind = f" ({module.type})" if module.type else ""
        yield f"{module.name}{kind}" + (f", {module.why}" if module.why else "")
    if len(left) > FLOAT_MODULES_SHOWN:
        yield f"and {len(left) - FLOAT_MODULES_SHOWN} more modules; report.json has them all"


def _checks(checks: tuple[Check, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(pad_edge=False, box=None)
    table.add_column("check", overflow="fold")
    for heading in ("limit", "value"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for check in checks:
        status = check.status.value.replace("_", " ")
        table.add_row(
            check.name,
            _number(check.limit),
            _number(check.value),
            Text.assemble(
                (status, _STATUS_STYLES[check.status]), "" if check.required else ", not required"
            ),
        )
    return table


def _summary(checks: tuple[Check, ...]) -> str:
    required = [check for check in checks if check.required]
    passed = sum(check.status is Status.PASS for check in required)
    return f"{passed} of {len(required)} required checks passed"


def _number(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
