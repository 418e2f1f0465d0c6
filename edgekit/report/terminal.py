"""The report as a table a person takes in at a glance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.gate.check import Check, Status, Verdict
from edgekit.report.choices import ChoiceTable
from edgekit.report.figures import figures, passed_text, value_text
from edgekit.report.report import Report

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
            f"  {passed_text(report.to_dict())}, exit code {report.exit_code}",
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
    for row in figures(report.to_dict()):
        table.add_row(row.label, row.float, row.quantized, row.change)
    return table


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
            value_text(check.limit),
            value_text(check.value),
            Text.assemble(
                (status, _STATUS_STYLES[check.status]), "" if check.required else ", not required"
            ),
        )
    return table
