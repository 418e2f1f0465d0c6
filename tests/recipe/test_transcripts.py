"""What a person reads about each wrong recipe: data/<case>.yaml against data/<case>.txt.

After a change of wording, ``EDGEKIT_WRITE_TRANSCRIPTS=1 pytest tests/recipe`` rewrites the texts;
read their diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.errors import RecipeError
from edgekit.methods import METHODS
from edgekit.recipe import anchor, estimator_rules, load, references
from edgekit.recipe.load import load_recipe

DATA = Path(__file__).parent / "data"
CASES = sorted(path.stem for path in DATA.glob("*.yaml") if path.stem != "valid")


@pytest.mark.parametrize("case", CASES)
def test_transcript(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    _fix_tables(monkeypatch)
    with pytest.raises(RecipeError) as caught:
        load_recipe(f"{case}.yaml")
    text = str(caught.value).replace(str(DATA), "DATA") + "\n"
    expected = DATA / f"{case}.txt"
    if os.environ.get("EDGEKIT_WRITE_TRANSCRIPTS"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")
    assert caught.value.exit_code == 2


def test_every_transcript_has_its_recipe() -> None:
    assert sorted(path.stem for path in DATA.glob("*.txt")) == CASES


def test_the_base_of_the_cases_is_valid() -> None:
    assert load_recipe(str(DATA / "valid.yaml")).name == "valid"


def _fix_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transcripts name what could be meant: hold that still while edgekit grows."""
    methods = {name: METHODS[name] for name in ("litert_static", "pt2e", "tflite_int8")}
    for module in (references, estimator_rules):
        monkeypatch.setattr(module, "METHODS", methods)
    monkeypatch.setattr(estimator_rules, "ESTIMATORS", ("minmax", "entropy"))
    monkeypatch.setattr(references, "BRIDGES", ("litert_torch",))
    names = {"calibration": {"imagenet_photos": Path()}, "recipes": {"mobilenet_int8": Path()}}
    for module in (anchor, load, references):
        monkeypatch.setattr(module, "shipped_names", names.__getitem__)
