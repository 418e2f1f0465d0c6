from __future__ import annotations

from pathlib import Path

from edgekit.recipe.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "recipe-reference.md"


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), (
        "run: python -m edgekit.recipe.reference > docs/recipe-reference.md"
    )


def test_the_page_explains_nested_keys_and_limits() -> None:
    page = reference()
    assert "## `preprocess.resize`" in page
    assert "| `agreement_min` | a number |" in page
    assert "at most 1" in page
    assert "origin" not in page
