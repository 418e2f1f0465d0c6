"""The sections of a manifest whose samples are the rows of files.

::

    idx:                             # images in the IDX format of MNIST, plain or gzip
      - images: {source: train-images-idx3-ubyte.gz, sha256: b056...}
        labels: {source: train-labels-idx1-ubyte.gz, sha256: 0ae2...}       # optional
        rows: {calibration: [0, 50000], dev: [50000, 60000]}
        licence: MIT
        credit: who made it          # optional
    texts:                           # tables, one text a row
      - source: reviews.csv
        sha256: 77e6...              # may be left out for local files only, above too
        delimiter: ","               # default: "," for .csv, else a tab
        quoted: true                 # "..." around values; default: not where a tab delimits
        encoding: utf-8              # the default
        text_column: review          # a name in the first row, or a number from 0: no header then
        label: {column: stars, above: 3}                                    # optional
        rows: {calibration: [[0, 90], [100, 190]], eval: [200, 300]}
        licence: not stated

``rows`` gives each role the rows from the first number up to, but not including, the second;
``role: eval`` instead gives it all of them; with neither, rows are split by content. A label is
the class index in its column; with ``above``, 1 where the number there is larger and else 0; with
``classes: [bad, good]``, the place of the word there in that list.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from edgekit.data.manifest_check import Checker
from edgekit.data.rows import RowRoles, Span
from edgekit.fetch import Source
from edgekit.recipe.yaml_source import KeyPath
from edgekit.types import Role

Column = str | int
"""A name in the first row, or a place from 0."""


@dataclass(frozen=True)
class PinnedFile:
    """A file and what it must hold."""

    source: Source
    sha256: str | None

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.source.path or "").name


def short_names(files: Sequence[PinnedFile]) -> list[str]:
    """What to call each file: its own name, or its whole source where two have one name."""
    names = [file.name for file in files]
    return [
        str(file.source) if names.count(name) > 1 else name
        for file, name in zip(files, names, strict=True)
    ]


@dataclass(frozen=True)
class IdxFiles:
    """A file of images and, where there is one, that of their labels."""

    images: PinnedFile
    labels: PinnedFile | None
    roles: RowRoles
    licence: str
    credit: str | None


@dataclass(frozen=True)
class LabelRule:
    """How a value becomes a class index: as it is, by a limit, or by a list of words."""

    column: Column
    above: float | None = None
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TableForm:
    """How a table is written. ``header``: its first row names the columns."""

    delimiter: str
    quoted: bool
    encoding: str
    header: bool
    text: Column
    label: LabelRule | None


@dataclass(frozen=True)
class TextFile:
    """A table with one text a row."""

    file: PinnedFile
    form: TableForm
    roles: RowRoles
    licence: str
    credit: str | None


def idx_files(check: Checker, at: KeyPath) -> IdxFiles:
    """The item of ``idx`` at ``at``.

    Raises:
        DataError: with file, line and key.
    """
    row = check.mapping(at, {"images", "licence"}, {"labels", "role", "rows", "credit"})
    return IdxFiles(
        images=_file(check, (*at, "images")),
        labels=_file(check, (*at, "labels")) if "labels" in row else None,
        roles=_roles(check, at, row),
        licence=check.text((*at, "licence"), row["licence"]),
        credit=_optional_text(check, at, row, "credit"),
    )


def text_file(check: Checker, at: KeyPath) -> TextFile:
    """The item of ``texts`` at ``at``.

    Raises:
        DataError: with file, line and key.
    """
    form_keys = {"delimiter", "quoted", "encoding", "label"}
    optional = {"sha256", "role", "rows", "credit", *form_keys}
    row = check.mapping(at, {"source", "text_column", "licence"}, optional)
    file = PinnedFile(*check.source(at, row))
    return TextFile(
        file=file,
        form=_form(check, at, row, file.name),
        roles=_roles(check, at, row),
        licence=check.text((*at, "licence"), row["licence"]),
        credit=_optional_text(check, at, row, "credit"),
    )


def _file(check: Checker, at: KeyPath) -> PinnedFile:
    return PinnedFile(*check.source(at, check.mapping(at, {"source"}, {"sha256"})))


def _optional_text(check: Checker, at: KeyPath, row: dict[str, Any], key: str) -> str | None:
    return check.text((*at, key), row[key]) if key in row else None


def _roles(check: Checker, at: KeyPath, row: dict[str, Any]) -> RowRoles:
    if "rows" not in row:
        if "role" not in row:
            return RowRoles(None)
        return RowRoles({check.role((*at, "role"), row["role"]): ((0, None),)})
    if "role" in row:
        raise check.wrong((*at, "role"), "give 'role' for all rows or 'rows' for some, not both")
    where = (*at, "rows")
    given = check.mapping(where, set(), {role.value for role in Role})
    spans = {Role(name): _spans(check, (*where, name), value) for name, value in given.items()}
    taken = sorted(
        (first, end, role.value)
        for role, own in spans.items()
        for first, end in own
        if end is not None
    )
    for before, after in pairwise(taken):
        if after[0] < before[1]:
            raise check.wrong((*where, after[2]), f"row {after[0]} already is {before[2]}")
    return RowRoles(spans)


def _spans(check: Checker, at: KeyPath, value: Any) -> tuple[Span, ...]:
    spans = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for span in spans:
        if not isinstance(span, list) or len(span) != 2:
            raise check.wrong(at, "expected [first row, row after the last], or a list of such")
        first, end = (check.whole(at, number) for number in span)
        if first >= end:
            raise check.wrong(at, f"no row lies from {first} to before {end}")
    return tuple((first, end) for first, end in spans)


def _form(check: Checker, at: KeyPath, row: dict[str, Any], name: str) -> TableForm:
    delimiter = row.get("delimiter", "," if name.lower().endswith(".csv") else "\t")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise check.wrong((*at, "delimiter"), 'expected one character, as "," or "\\t"')
    quoted = row.get("quoted", delimiter != "\t")
    if not isinstance(quoted, bool):
        raise check.wrong((*at, "quoted"), "expected true or false")
    text = _column(check, (*at, "text_column"), row["text_column"])
    label = _label(check, (*at, "label")) if "label" in row else None
    columns = [text] if label is None else [text, label.column]
    named = [isinstance(column, str) for column in columns]
    if any(named) != all(named):
        raise check.wrong(
            (*at, "label", "column"), "name both columns, or give the numbers of both"
        )
    return TableForm(delimiter, quoted, _encoding(check, at, row), all(named), text, label)


def _encoding(check: Checker, at: KeyPath, row: dict[str, Any]) -> str:
    encoding = check.text((*at, "encoding"), row.get("encoding", "utf-8"))
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, ValueError) as cause:
        hint = "e.g. utf-8, cp1252, latin-1, utf-16"
        raise check.wrong((*at, "encoding"), f"'{encoding}' is no text encoding", hint) from cause
    return "utf-8-sig" if name == "utf-8" else name  # spreadsheets put a mark in front


def _column(check: Checker, at: KeyPath, value: Any) -> Column:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise check.wrong(at, "expected a column's name, or its number from 0")


def _label(check: Checker, at: KeyPath) -> LabelRule:
    row = check.mapping(at, {"column"}, {"above", "classes"})
    above, classes = row.get("above"), row.get("classes")
    if above is not None and classes is not None:
        raise check.wrong((*at, "classes"), "give 'above' for numbers or 'classes' for words")
    if above is not None and (
        not isinstance(above, int | float) or isinstance(above, bool) or not math.isfinite(above)
    ):
        raise check.wrong((*at, "above"), "expected a number")
    if classes is not None:
        if not isinstance(classes, list) or not classes:
            raise check.wrong((*at, "classes"), "expected a list of words")
        classes = tuple(check.text((*at, "classes", i), word) for i, word in enumerate(classes))
        if len(set(classes)) < len(classes):
            raise check.wrong((*at, "classes"), "a word is there twice")
    return LabelRule(_column(check, (*at, "column"), row["column"]), above, classes)
