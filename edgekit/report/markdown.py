"""The report as Markdown for a pull request: the verdict first, then figures, checks, what to do.

GitHub Flavored Markdown (its specification, 0.29), which GitLab reads too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from edgekit.report.advice import advice
from edgekit.report.figures import figures, passed_text, status_text, value_text
from edgekit.report.printable import printable

_SIGNS = {
    "pass": "✅",
    "fail": "❌",
    "inconclusive": "⚠️",
    "not_measured": "⚠️",
}
_MEANING = re.compile(r"[\\`*\[\]<>|~&#$@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
"""What means something inside a line; an underscore within a word does not."""
_BEGINNING = re.compile(r"^(?:[-+](?=[-+ ]|$)|\d+[.)](?= |$))")
"""What makes a list or a line at the beginning of a list item."""


def markdown(report: Mapping[str, Any], name: str) -> str:
    """The whole comment. ``report`` is report.json, ``name`` how the reader finds the run."""
    verdict = str(report["verdict"])
    lines = [
        f"## {_SIGNS[verdict]} {verdict.upper()}: {code(report['recipe'])}",
        "",
        f"{passed_text(report)}; method {code(report['method'])}, "
        f"file {code(report['artefact']['path'])}.",
        "",
        "| | float | quantized | change [95 %] |",
        "|:---|---:|---:|---:|",
    ]
    for row in figures(report):
        lines.append(_row(*map(text, (row.label, row.float, row.quantized, row.change))))
    lines += ["", *_checks(report)]
    if found := list(advice(report, name)):
        lines += ["", "**What to do next**", "", *(f"- {_advice_line(each)}" for each in found)]
    if report.get("notes"):
        lines += ["", "<details><summary>Notes</summary>", ""]
        lines += [f"- {text(note)}" for note in report["notes"]]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _checks(report: Mapping[str, Any]) -> Iterator[str]:
    checks = report["checks"]
    if not checks:
        yield "The recipe sets no limit: nothing was checked."
        return
    yield "| check | limit | value | |"
    yield "|:---|---:|---:|:---|"
    for check in checks:
        sign = _SIGNS[check["status"]] if check["required"] or check["status"] == "pass" else "⚪"
        yield _row(
            code(check["name"], in_table=True),
            text(value_text(check["limit"])),
            text(value_text(check["value"])),
            f"{sign} {status_text(check)}",
        )
    for check in checks:
        if check["status"] != "pass":
            yield ""
            yield f"{code(check['name'])}: {text(check['why'])}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _advice_line(sentence: str) -> str:
    """Every other piece between backticks is code."""
    pieces = sentence.split("`")
    return "".join(code(each) if place % 2 else _escaped(each) for place, each in enumerate(pieces))


def text(value: str) -> str:
    """``value`` as itself, on one line, whatever is in it."""
    escaped = _escaped(" ".join(printable(value).split()))
    return _BEGINNING.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped)


def _escaped(line: str) -> str:
    return _MEANING.sub(lambda found: f"\\{found[0]}", line)


def code(value: str, *, in_table: bool = False) -> str:
    """``value`` as a code span, on one line; in a table its pipes are escaped too."""
    line = " ".join(printable(value).split())
    if in_table:
        line = line.replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"
