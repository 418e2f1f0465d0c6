"""The figures in a table, and what else the run says of itself, as parts of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgekit.report.figures import figures
from edgekit.report.page import escaped


def figures_section(report: Mapping[str, Any]) -> str:
    """Every figure, float beside quantized."""
    rows = [[row.label, row.float, row.quantized, row.change] for row in figures(report)]
    return "<h2>All figures</h2>\n" + _table(
        ("figure", "float", "quantized", "change [95 %]"), rows
    )


def more_sections(report: Mapping[str, Any]) -> Iterator[str]:
    """Notes; choices and stages, folded."""
    if report.get("notes"):
        items = "".join(f"<li>{escaped(note)}</li>" for note in report["notes"])
        yield f"<h2>Notes</h2>\n<ul>{items}</ul>"
    for choice in report.get("choices", ()):
        on = choice["on"]
        words = "" if on is None else f", on {on['samples']} {on['role']} samples"
        rows = [
            [
                each["name"],
                _or_dash(each.get("agreement"), ".2%"),
                _or_dash(each.get("sqnr_db"), ".1f"),
                each.get("error") or each.get("lost") or "taken",
            ]
            for each in choice["candidates"]
        ]
        yield (
            f"<details><summary>Chosen: {escaped(choice['of'])} {escaped(choice['chosen'])}"
            f"{escaped(words)}</summary>\n"
            + _table((choice["of"], "same class", "SQNR dB", "why"), rows, left=(0, 3))
            + "\n</details>"
        )
    rows = [
        [stage["name"], f"{stage['seconds']:.1f}", "cached" if stage["cached"] else ""]
        for stage in report["stages"]
    ]
    yield (
        "<details><summary>Stages of the run</summary>\n"
        + _table(("stage", "seconds", ""), rows)
        + "\n</details>"
    )


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """The first column heads its row; those in ``left`` hold words."""

    def named(place: int) -> str:
        if place in left:
            return ' class="left"'
        return "" if place == len(heads) - 1 else ' class="figure"'

    head = "".join(
        f'<th scope="col"{named(place)}>{escaped(text)}</th>' if text else "<td></td>"
        for place, text in enumerate(heads)
    )
    lines = []
    for row in rows:
        first, *rest = map(escaped, row)
        cells = "".join(f"<td{named(place)}>{text}</td>" for place, text in enumerate(rest, 1))
        lines.append(f'<tr><th scope="row" class="left">{first}</th>{cells}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="wide" tabindex="0"><table class="full">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
