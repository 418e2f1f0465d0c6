"""What ``edgekit bench`` found: one object, rendered to JSON and to the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.measure.devices.device import (
    Answers,
    AnswersOnly,
    DeviceFailure,
    DeviceLatency,
    Found,
    ModelTimes,
    fallback,
)
from edgekit.measure.devices.prediction import surprise
from edgekit.report.devices import devices_to_list
from edgekit.report.units import latency_text

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 1


@dataclass(frozen=True)
class BenchReport:
    """One model (and its float twin) on one device or several; ``logs`` holds the raw logs."""

    model: Path
    reference: Path | None
    devices: tuple[Found, ...]
    logs: Path

    @property
    def failures(self) -> tuple[DeviceFailure, ...]:
        """The devices that measured nothing, in their order."""
        return tuple(each for each in self.devices if isinstance(each, DeviceFailure))

    @property
    def exit_code(self) -> int:
        """There is no verdict: 0, or the exit code of the first failure."""
        return next((each.error.exit_code for each in self.failures), 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``devices`` as in report.json's ``latency.devices``."""
        return {
            "schema": SCHEMA,
            "model": str(self.model),
            "float": None if self.reference is None else str(self.reference),
            "devices": devices_to_list(self.devices),
        }


def print_bench(report: BenchReport, console: Console) -> None:
    """Print what each device measured, in lines that any width can hold."""
    from rich.text import Text

    for each in report.devices:
        if isinstance(each, DeviceLatency):
            console.print(Text(f"{each.model} ({each.device})", style="bold"))
            for style, line in _lines(each):
                console.print(Text(f"  {line}", style=style))
        if isinstance(each, AnswersOnly):
            console.print(Text(each.device, style="bold"))
            console.print(Text(f"  {each.engine}"))
            console.print(Text(f"  {_answers(each.answers)}"))
            for warning in each.warnings:
                console.print(Text(f"  warning: {warning}", style="yellow"))
            console.print(Text(f"  {each.why}", style="dim"))


def _lines(found: DeviceLatency) -> Iterator[tuple[str, str]]:
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    yield "", f"{found.engine}, {found.requested} asked for, {threads}, {found.rounds} rounds"
    delegation = found.quantized.delegation
    if (partly := fallback(found)) is not None:
        yield "yellow", f"fallback: {partly}"
    elif delegation.partitions is not None:
        count = delegation.partitions
        yield "", f"{delegation.effective} in {count} partition{'s' if count > 1 else ''}"
    if (otherwise := surprise(found)) is not None:
        yield "yellow", otherwise
    if found.reference is not None:
        yield "", f"float      {_figures(found.reference)}"
    yield (
        "",
        f"{'quantized' if found.reference is not None else 'latency'}  "
        + _figures(found.quantized),
    )
    if found.speedup is not None:
        yield "", f"speed-up   {found.speedup:.2f} x [{found.ci_low:.2f}, {found.ci_high:.2f}]"
    if found.answers is not None:
        yield "", _answers(found.answers)
    if found.unfit is not None:
        yield "yellow", f"not to be believed: {found.unfit}; measured {found.attempts} times"
    for warning in found.warnings:
        yield "yellow", f"warning: {warning}"
    if found.log is not None:
        yield "dim", f"log: {found.log}"


def _answers(answers: Answers) -> str:
    if answers.max_abs == 0:
        return f"answers    to {answers.n} inputs are this host's bit for bit"
    unit = " steps" if answers.integer else ""
    gap = "no finite number" if answers.max_abs is None else f"{answers.max_abs:.3g}{unit}"
    return (
        f"answers    same class on {answers.agreement:.0%} of {answers.n} inputs, at most {gap} "
        "from this host's"
    )


def _figures(times: ModelTimes) -> str:
    text = f"{latency_text(times.median_ms)}, p90 {latency_text(times.p90_ms)}"
    if times.p90_of == "rounds":
        text += " of rounds"
    text += f", spread {times.spread:.1%}"
    if times.statistic == "mean":
        text += " (of means: this build prints no median)"
    if times.peak_memory_mb is not None:
        text += f", peak {times.peak_memory_mb:.1f} MB"
    return text
