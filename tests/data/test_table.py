"""Tables of texts: forms, labels, and every way a row or a file can be broken."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.manifest_files import LabelRule, TableForm
from edgekit.data.table import LabelledText, read_table
from edgekit.errors import DataError

CSV = TableForm(",", True, "utf-8-sig", True, "review", LabelRule("stars", above=3))
TSV = TableForm("\t", False, "utf-8-sig", False, 2, LabelRule(1, above=0))
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\t\0"))


def read(tmp_path: Path, content: str | bytes, form: TableForm, on_broken: Any = "error") -> Any:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, form, on_broken)


def test_a_table_with_named_columns(tmp_path: Path) -> None:
    content = '\ufeffstars,review,by\n5,"good, ""very""\nindeed",a\n\n3,so-so,b\n'
    table = read(tmp_path, content, CSV)
    assert table.rows == (
        LabelledText('good, "very"\nindeed', 1),
        LabelledText("so-so", 0),
    )
    assert table.skipped == ()


def test_quotes_may_be_plain_characters(tmp_path: Path) -> None:
    table = read(tmp_path, "1\t0.5\ta 9\" screen\r\n2\t-1\t'plain'\r\n", TSV)
    assert [row.text for row in table.rows] == ['a 9" screen', "'plain'"]
    assert [row.label for row in table.rows] == [1, 0]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    form = TableForm("\t", False, encoding, False, 0, None)
    table = read(tmp_path, "café\nnaïve\n".encode(encoding), form)
    assert table.rows == (LabelledText("café", None), LabelledText("naïve", None))


@given(texts=st.lists(VALUES.filter(str.strip), min_size=1, max_size=5), quoted=st.booleans())
def test_what_was_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], quoted: bool
) -> None:
    path = tmp_path_factory.mktemp("table") / "t"
    with path.open("w", encoding="utf-8", newline="") as out:
        if quoted:
            csv.writer(out).writerows([number, text] for number, text in enumerate(texts))
        else:
            out.writelines(f"{number}\t{text}\n" for number, text in enumerate(texts))
    form = TableForm("," if quoted else "\t", quoted, "utf-8", False, 1, LabelRule(0))
    rows = read_table(path, form, "error").rows
    assert rows == tuple(LabelledText(text, number) for number, text in enumerate(texts))


@pytest.mark.parametrize(
    ("rule", "value", "label"),
    [
        (LabelRule(0), "7", 7),
        (LabelRule(0), "2.0", 2),
        (LabelRule(0, above=2.5), "2.5", 0),
        (LabelRule(0, above=2.5), "2.6", 1),
        (LabelRule(0, classes=("bad", "good")), "good", 1),
    ],
)
def test_labels(tmp_path: Path, rule: LabelRule, value: str, label: int) -> None:
    form = TableForm(",", True, "utf-8", False, 1, rule)
    assert read(tmp_path, f"{value},text\n", form).rows == (LabelledText("text", label),)


@pytest.mark.parametrize(
    ("rule", "row", "why"),
    [
        (LabelRule(0), "1,", "the text is empty"),
        (LabelRule(0), "1,\u00a0 ", "the text is empty"),
        (LabelRule(0), "1", "1 values where the first row has 2"),
        (LabelRule(0), "1,a,b", "3 values where the first row has 2"),
        (LabelRule(0), "1.5,a", "'1.5' is no class index"),
        (LabelRule(0), "-1,a", "'-1' is no class index"),
        (LabelRule(0), "x,a", "'x' is no number"),
        (LabelRule(0, above=0), "nan,a", "'nan' is no number"),
        (LabelRule(0, above=0), "inf,a", "'inf' is no number"),
        (LabelRule(0, above=0), ",a", "'' is no number"),
        (LabelRule(0, classes=("bad", "good")), "fine,a", "none of bad, good"),
    ],
)
def test_a_broken_row_is_fatal_or_skipped_by_line(
    tmp_path: Path, rule: LabelRule, row: str, why: str
) -> None:
    start = {True: "bad,first\n", False: "0,first\n"}[rule.classes is not None]
    form = TableForm(",", True, "utf-8", False, 1, rule)
    content = f"{start}{row}\n{start.replace('first', 'last')}"
    with pytest.raises(DataError, match=f":2: .*{why}") as caught:
        read(tmp_path, content, form)
    assert "on_broken: skip" in str(caught.value.hint)
    table = read(tmp_path, content, form, "skip")
    assert [None if row is None else row.text for row in table.rows] == ["first", None, "last"]
    assert len(table.skipped) == 1
    assert table.skipped[0].startswith("t.csv:2: ")


@pytest.mark.parametrize(
    ("content", "form", "why"),
    [
        ("", CSV, "is empty"),
        ("\n\n", CSV, "is empty"),
        ("stars,review\n", CSV, "no rows below its header"),
        ("stars,reveiw\n5,x\n", CSV, "no column 'review', only 'stars', 'reveiw'"),
        ("stars;review\n5;x\n", CSV, "no column 'review', only 'stars;review'"),
        ("1\t0.5\n", TSV, "no column 2: its first row has 2 values"),
        ('stars,review\n5,"x\n4,y\n', CSV, r"t\.csv:3: unexpected end of data"),
        ('stars,review\n5,"x"y\n', CSV, r"t\.csv:2: .*expected after"),
        (b"stars,review\n5,ok\n4,caf\xe9\n", CSV, r"t\.csv:3: not utf-8 text"),
        (b"\xff\xfe\x00", TSV, "not utf-8 text"),
    ],
)
def test_files_that_are_wrong(
    tmp_path: Path, content: str | bytes, form: TableForm, why: str
) -> None:
    for on_broken in ("error", "skip"):
        with pytest.raises(DataError, match=why):
            read(tmp_path, content, form, on_broken)


def test_a_near_column_is_offered(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "stars,reveiw\n5,x\n", CSV)
    assert caught.value.hint == "Did you mean 'reveiw'?"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        read_table(tmp_path, CSV, "error")
