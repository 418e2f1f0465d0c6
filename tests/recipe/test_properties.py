"""Whatever a file holds, loading it gives a recipe or a `RecipeError` that names the mistake."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.recipe.bind import Problems, bind, keys
from edgekit.recipe.dump import recipe_to_dict, recipe_to_yaml
from edgekit.recipe.layers import layered
from edgekit.recipe.load import load_recipe, validated
from edgekit.recipe.nearest import nearest
from edgekit.recipe.schema import Recipe
from edgekit.recipe.yaml_source import Document, KeyPath, dump_yaml, parse_yaml

DATA = Path(__file__).parent / "data"
VALID = recipe_to_dict(load_recipe(str(DATA / "valid.yaml")))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
FREE = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXT, st.lists(TEXT, max_size=2))


def values_of(kind: Any, limits: Any) -> st.SearchStrategy[Any]:
    """Plain values that a schema field of this type takes."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return st.fixed_dictionaries(
            {name: values_of(inner, field.metadata) for name, (field, inner) in keys(kind).items()}
        )
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(values_of(inner[0], limits), max_size=3)
    if origin is not None and origin is not Union and type(None) not in inner:
        values = FREE if inner[1] is Any else values_of(inner[1], limits)
        return st.dictionaries(TEXT, values, max_size=3)
    if type(None) in inner:
        return st.one_of(st.none(), values_of(inner[0], limits))
    low = limits.get("at_least", limits.get("above", -100))
    high = limits.get("at_most", low + 100)
    numbers = {
        bool: st.booleans(),
        int: st.integers(low, high),
        float: st.floats(low, high, exclude_min="above" in limits),
        str: TEXT,
    }
    return numbers[kind]


def bound(text: str) -> Recipe:
    document = parse_yaml(text, "f")
    problems = Problems(document)
    draft = bind(Recipe, document, problems)
    problems.raise_any()
    recipe = draft.finish()
    assert isinstance(recipe, Recipe)
    return recipe


@settings(max_examples=50, deadline=None)
@given(values_of(Recipe, {}))
def test_a_recipe_round_trips_through_yaml(value: dict[str, Any]) -> None:
    recipe = bound(dump_yaml(value))
    assert bound(recipe_to_yaml(recipe)) == recipe


def test_the_valid_recipe_round_trips_with_all_its_checks() -> None:
    recipe = load_recipe(str(DATA / "valid.yaml"))
    assert validated(parse_yaml(recipe_to_yaml(recipe), "f")) == recipe


def error_of(call: Callable[[], object]) -> RecipeError | None:
    try:
        call()
    except RecipeError as error:
        return error
    return None


def key_paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of the schema that a plain recipe writes."""
    if path == ("model", "factory_args"):
        return  # free values, no schema
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from key_paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from key_paths(item, (*path, index))


@st.composite
def one_typo(draw: st.DrawFn, word: str) -> str:
    """``word`` with one letter left out, doubled, changed, or swapped with the next."""
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    return draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            ]
        ).filter(lambda typo: typo not in ("", word))
    )


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_typo_in_a_key_is_told_with_the_right_name(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(key_paths(VALID), key=str)))
    right = str(path[-1])
    typo = data.draw(one_typo(right))
    broken = copy.deepcopy(VALID)
    holder: Any = broken
    for part in path[:-1]:
        holder = holder[part]
    if typo in holder:
        return
    holder[typo] = holder.pop(right)
    document = parse_yaml(dump_yaml(broken), "f.yaml")
    with pytest.raises(RecipeError) as caught:
        validated(document)
    told = [problem for problem in caught.value.problems if problem.message == "unknown key"]
    assert [problem.where for problem in told] == [document.where((*path[:-1], typo))]
    assert f"did you mean '{right}'?" in (told[0].hint or "")


PLAIN_KEYS = [path for path in key_paths(VALID) if all(isinstance(part, str) for part in path)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PLAIN_KEYS), min_size=1, max_size=5), FREE)
def test_any_value_anywhere_is_a_recipe_or_an_error(paths: list[KeyPath], value: Any) -> None:
    broken = copy.deepcopy(VALID)
    for path in paths:
        holder: Any = broken
        for part in path[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[path[-1]] = value
    error = error_of(lambda: validated(parse_yaml(dump_yaml(broken), "f")))
    if error is not None:
        assert error.problems
        assert all(problem.where is not None for problem in error.problems)


GARBAGE = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(
        st.sampled_from([*VALID, "extends", "x"]), st.recursive(FREE, st.lists, max_leaves=4)
    ).map(lambda value: dump_yaml(value).encode()),
)


@settings(max_examples=150, deadline=None)
@given(GARBAGE)
def test_garbage_is_never_anything_but_a_recipe_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "garbage.yaml"
        file.write_bytes(content)
        with pytest.raises(RecipeError):
            load_recipe(str(file))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_any_override_is_taken_or_a_recipe_error(setting: str) -> None:
    error = error_of(lambda: load_recipe(str(DATA / "valid.yaml"), [setting]))
    assert error is None or "--set" in str(error)


PLAIN = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers(0, 3),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=6,
    ),
)


@given(PLAIN, PLAIN)
def test_every_key_of_merged_documents_knows_its_file(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    merged = layered(parse_yaml(dump_yaml(below), "low"), parse_yaml(dump_yaml(above), "high"))
    for path in written(merged.value):
        wrote = "high" if holds(above, path) else "low"
        assert merged.place(path).file == wrote
        assert holds(above, path) or holds(below, path)
    assert set(merged.places) == {(), *written(merged.value)}


def written(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from written(item, (*path, key))


def holds(value: Any, path: KeyPath) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def test_all_problems_are_told_at_once_and_in_file_order() -> None:
    broken = copy.deepcopy(VALID)
    wrong: dict[tuple[str, str], Any] = {
        ("model", "framework"): "torch",
        ("preprocess", "std"): [0, 1, 1],
        ("calibration", "samples"): 0,
        ("quantize", "method"): "nothing",
        ("evaluate", "dataset"): "nowhere/",
        ("gate", "agreement_min"): 2,
        ("latency", "threads"): "two",
    }
    for (section, key), value in wrong.items():
        broken[section][key] = value
    with pytest.raises(RecipeError) as caught:
        validated(parse_yaml(dump_yaml(broken), "f"))
    problems = caught.value.problems
    assert len(problems) == len(wrong)
    assert caught.value.message == f"{len(wrong)} problems in the recipe"
    lines = [problem.where.line or 0 for problem in problems if problem.where]
    assert lines == sorted(lines)


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=5, unique=True))
def test_a_known_name_is_nearest_to_itself(word: str, others: list[str]) -> None:
    assert word in nearest(word, [*others, word])


def test_a_document_without_the_place_of_a_key_gives_its_section() -> None:
    document = parse_yaml("model:\n  framework: pytorch\n", "f")
    assert isinstance(document, Document)
    assert document.where(("model", "inputs", 0)).line == 1
