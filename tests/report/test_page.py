"""What all pages share: where they go, and that a reader can make them out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import OutputError
from edgekit.report.page import check_place, document, escaped, write_text
from tests.report.pages import Page


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    check_place(file)
    write_text("new", file)
    assert file.read_text("utf-8") == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_place_that_cannot_take_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        check_place(tmp_path)
    with pytest.raises(OutputError, match="no folder"):
        check_place(tmp_path / "nowhere" / "report.html")
    with pytest.raises(OutputError, match="cannot write"):
        write_text("text", tmp_path / "nowhere" / "report.html")


@given(st.text(st.characters()))
def test_any_text_stays_text(text: str) -> None:
    made = document(text, f'<p title="{escaped(text)}">{escaped(text)}</p>')
    made.encode("utf-8")
    page = Page(made)
    assert [tag for tag, _ in page.tags].count("p") == 1
    kept = re.sub(
        r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text
    )
    (titles,) = [attributes["title"] for tag, attributes in page.tags if tag == "p"]
    assert titles == kept
    assert kept in page.words


def _luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_colour_has_contrast(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", document("", ""), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[scheme]))
    for ink in ("ink", "dim", "all", "own", "good", "bad", "open"):
        for ground in ("page", "panel"):
            light, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
