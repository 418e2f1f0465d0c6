"""The pages in a real browser: at a phone's width and a desk's, light and dark.

Screenshots are left in ``build/screenshots/``, to be looked at.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from edgekit.report.html import html
from edgekit.report.layers_html import page as layers_page
from tests.browser import Browser, browser, find_browser
from tests.report.evidence_sample import evidence
from tests.report.layers_sample import REPORT as LAYERS
from tests.report.test_terminal import REPORTS

pytestmark = pytest.mark.slow
PHONE, DESK = (360, 740), (1280, 900)
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LONG = "a_very_long_name_" * 12


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = find_browser()
    if command is None:
        pytest.skip("there is no Chromium; .ci/browser brings one")
    with browser(command, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _crowded() -> tuple[dict[str, Any], dict[str, Any]]:
    """Names longer than a screen is wide, and as much evidence as there can be."""
    report = json.loads(json.dumps(REPORTS["auto"].to_dict()))
    report["recipe"] = report["artefact"]["path"] = LONG
    report["checks"][0] |= {"name": LONG, "limit": LONG, "value": LONG, "why": LONG}
    report["accuracy"] = {LONG: report["accuracy"]["top1"]}
    report["notes"] = [LONG]
    found = json.loads(json.dumps(evidence()))
    found["classes"] = {"0": LONG, "1": LONG}
    flips = found["changes"][0]["flips"]
    flips += [flips[0] | {"id": LONG}] * 21
    layers = found["layers"]["layers"]
    found["layers"]["layers"] = layers * 20
    return report, found


def _page(case: str) -> str:
    if case == "layers":
        return layers_page(LAYERS)
    if case == "old":  # made before there was evidence
        return html(REPORTS["pass"].to_dict(), None, "runs/x")
    if case == "crowded":
        return html(*_crowded(), "runs/x")
    return html(REPORTS[case].to_dict(), evidence(), "runs/x")


@pytest.mark.parametrize("case", ["fail", "auto", "torch", "old", "crowded", "layers"])
def test_a_page_fits_loads_nothing_and_complains_of_nothing(
    chromium: Browser, tmp_path: Path, case: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(_page(case), encoding="utf-8")
    SHOTS.mkdir(parents=True, exist_ok=True)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for (width, height), scheme in itertools.product((PHONE, DESK), schemes):
        seen = chromium.open(file, width=width, height=height, scheme=scheme)
        assert (seen.errors, seen.requests) == ([], [])
        assert chromium.value("document.documentElement.scrollWidth") <= width
        assert chromium.value("innerWidth") == width, "wider than the screen"
        paper = chromium.value("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 28)")
        pictures = "[...document.images].every(each => each.complete && each.naturalWidth > 0)"
        assert chromium.value(pictures)
        unnamed = "document.querySelectorAll('img:not([alt]), svg:not([aria-label])').length"
        assert chromium.value(unnamed) == 0
        chromium.screenshot(SHOTS / f"{case}_{width}_{scheme}.png")


def test_a_request_and_an_error_would_be_seen(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text('<img src="beside.png"><script>throw new Error("seen")</script>')
    seen = chromium.open(file, width=360, height=740, scheme="light")
    assert [Path(url).name for url in seen.requests] == ["beside.png"]
    assert any("seen" in error for error in seen.errors)
