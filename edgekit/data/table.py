"""Tables of texts: a delimited file, one text a row, with a label where the form says so."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from edgekit.data.manifest_files import Column, LabelRule, TableForm
from edgekit.errors import DataError


@dataclass(frozen=True)
class LabelledText:
    """One row: its text, and its class index where there are labels."""

    text: str
    label: int | None


@dataclass(frozen=True)
class Table:
    """Every row, in the file's order: ``None`` for one that is broken, which ``skipped`` tells."""

    rows: tuple[LabelledText | None, ...]
    skipped: tuple[str, ...]


class _BrokenRow(Exception):
    """What is wrong with one row, in words."""


def read_table(path: Path, form: TableForm, on_broken: Literal["error", "skip"]) -> Table:
    """The rows of ``path``; blank lines are none. A row is broken when it has more or fewer values
    than the first, nothing but blanks for a text, or a label that the form's rule cannot take.

    Raises:
        DataError: names the file and the line: a broken row where ``on_broken`` is ``"error"``,
            no such column, another encoding, or a file that cannot be read or has no rows.
    """
    lines = _lines(path, form)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path} is empty")
    width = len(first[1])
    text_at = _place(form.text, first[1], path)
    label_at = None if form.label is None else _place(form.label.column, first[1], path)
    rows: list[LabelledText | None] = []
    skipped: list[str] = []
    for line, values in lines if form.header else chain([first], lines):
        try:
            if len(values) != width:
                raise _BrokenRow(f"{len(values)} values where the first row has {width}")
            if not values[text_at].strip():
                raise _BrokenRow("the text is empty")
            label = None
            if form.label is not None and label_at is not None:
                label = _label(values[label_at], form.label)
            rows.append(LabelledText(values[text_at], label))
        except _BrokenRow as cause:
            if on_broken == "error":
                raise DataError(
                    f"{path}:{line}: {cause}",
                    hint="Mend or remove that row, or write on_broken: skip.",
                ) from cause
            rows.append(None)
            skipped.append(f"{path.name}:{line}: {cause}")
    if not rows:
        raise DataError(f"{path} has no rows below its header")
    return Table(tuple(rows), tuple(skipped))


def _lines(path: Path, form: TableForm) -> Iterator[tuple[int, list[str]]]:
    """The values of every row that is not blank, with the line it ends on, from 1."""
    stream = io.StringIO(_decoded(path, form.encoding), newline="")
    reader = csv.reader(
        stream,
        delimiter=form.delimiter,
        quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    try:
        yield from ((reader.line_num, values) for values in reader if values)
    except csv.Error as cause:
        raise DataError(
            f"{path}:{reader.line_num}: {cause}",
            hint="Is a quote left open? Where quotes are plain characters, write quoted: false",
        ) from cause


def _decoded(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise DataError(f"{path} cannot be read: {cause.strerror}") from cause
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as cause:
        line = content[: cause.start].decode(encoding, "replace").count("\n") + 1
        raise DataError(
            f"{path}:{line}: not {encoding.removesuffix('-sig')} text: {cause.reason}",
            hint="Say in the manifest which encoding it has, e.g. encoding: cp1252",
        ) from cause


def _place(column: Column, first: list[str], path: Path) -> int:
    """Where ``column`` stands in a row; ``first`` is the file's first."""
    if isinstance(column, int):
        if column < len(first):
            return column
        raise DataError(
            f"{path} has no column {column}: its first row has {len(first)} values",
            hint="Columns count from 0. Is the delimiter another one?",
        )
    if column in first:
        return first.index(column)
    near = difflib.get_close_matches(column, first, n=1)
    columns = ", ".join(repr(name[:40]) for name in first[:10])
    meant = f"Did you mean '{near[0]}'?" if near else "Is the delimiter another one?"
    raise DataError(f"{path} has no column '{column}', only {columns}", hint=meant)


def _label(value: str, rule: LabelRule) -> int:
    if rule.classes is not None:
        if value not in rule.classes:
            raise _BrokenRow(f"the label {value[:40]!r} is none of {', '.join(rule.classes)}")
        return rule.classes.index(value)
    if rule.above is not None:
        return int(_number(value) > rule.above)
    number = _number(value)
    if number != int(number) or number < 0:
        raise _BrokenRow(f"the label {value[:40]!r} is no class index")
    return int(number)


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError as cause:
        raise _BrokenRow(f"the label {value[:40]!r} is no number") from cause
    if not math.isfinite(number):
        raise _BrokenRow(f"the label {value[:40]!r} is no number")
    return number
