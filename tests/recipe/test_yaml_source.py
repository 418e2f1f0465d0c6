from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DataError, RecipeError
from edgekit.recipe.yaml_source import Place, dotted, dump_yaml, parse_yaml, read_yaml

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["yes", "1e3", "007", "~", "null", "<<", "=", "0x1F", "2024-01-01", "1_000"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner),
    ),
    max_leaves=12,
)


def places_its_error(text: str) -> bool:
    try:
        parse_yaml(text, "f")
    except RecipeError as error:
        return error.where is not None
    return True


@given(VALUES)
def test_what_is_dumped_reads_back_equal(value: Any) -> None:
    assert parse_yaml(dump_yaml(value), "f").value == value


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_an_error_of_ours(text: str) -> None:
    assert places_its_error(text)


@given(st.text("ab:-[]{}&*<!|>'\"#%@`,? \t\n1.", max_size=40))
def test_any_punctuation_is_a_document_or_an_error_of_ours(text: str) -> None:
    assert places_its_error(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("True", True),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("010", "010"),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(f"k: {text}", "f").value["k"]
    assert found == value
    assert type(found) is type(value)


def test_places_count_from_one_and_follow_lists() -> None:
    document = parse_yaml("a: 1\nb:\n  - {c: 2}\n  -   d\n", "f.yaml")
    assert document.place(("a",)) == Place("f.yaml", 1, 1)
    assert document.place(("b", 0, "c")) == Place("f.yaml", 3, 6)
    assert document.place(("b", 1)) == Place("f.yaml", 4, 7)
    assert document.place(("b", 0, "missing")) == Place("f.yaml", 3, 5)
    assert str(document.where(("b", 0, "c"))) == "f.yaml:3: b[0].c"


def test_keys_are_text_as_written() -> None:
    assert parse_yaml("1: a\ntrue: b\n~: c\n", "f").value == {"1": "a", "true": "b", "~": "c"}


def test_merge_keys_inherit_and_keep_their_place() -> None:
    document = parse_yaml("x: &x {a: 1, b: 2}\ny:\n  <<: [*x, {c: 4, a: 9}]\n  b: 3\n", "f")
    assert document.value["y"] == {"a": 1, "b": 3, "c": 4}
    assert document.place(("y", "a")).line == 1
    assert document.place(("y", "b")).line == 4


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "first on line 1"),
        ("a: &x [*x]", 1, "contains itself"),
        ("a: &x {<<: *x}", 1, "contains itself"),
        ("a: !thing 1", 1, "tag !thing"),
        ("[a]: 1", 1, "plain name"),
        ("a: " + "9" * 5000, 1, "not a !!int value"),
        ("a\x07: 1", 1, "U+0007"),
        ("a: 1\n---\nb: 2", 2, "one document"),
        ("a: *nowhere", 1, "not above it"),
        ("a: - b", 1, "line of its own"),
    ],
)
def test_errors_name_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_yaml(text, "f.yaml")
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == ("f.yaml", line)
    assert words in str(caught.value)


def test_nesting_without_end_is_an_error() -> None:
    with pytest.raises(RecipeError, match="nested too deeply"):
        parse_yaml("[" * 5000, "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    large = tmp_path / "l.yaml"
    large.write_bytes(b"#" * 1_000_001)
    for path, words in [
        (binary, "UTF-8"),
        (large, "too large"),
        (tmp_path / "gone.yaml", "No such file"),
        (tmp_path, "directory"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(DataError, match=words):
            read_yaml(path, error=DataError)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read_yaml(file)
    assert document.value == {"a": 1, "b": 2}
    assert document.place(("b",)) == Place(str(file), 2, 1)


def test_dotted() -> None:
    assert dotted(()) == ""
    assert dotted(("model", "inputs", 0, "shape", 1)) == "model.inputs[0].shape[1]"
