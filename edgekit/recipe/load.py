"""From a recipe's name to a validated `Recipe`: find, read, extend, override, check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from edgekit.errors import RecipeError, Where
from edgekit.recipe.anchor import anchored, exists, is_path_like, shipped_names
from edgekit.recipe.audio_rules import AUDIO_RULES
from edgekit.recipe.bind import Problems, bind
from edgekit.recipe.device_rules import DEVICE_RULES
from edgekit.recipe.estimator_rules import ESTIMATOR_RULES
from edgekit.recipe.framework_rules import FRAMEWORK_RULES
from edgekit.recipe.gate_rules import GATE_RULES
from edgekit.recipe.layers import layered, with_override
from edgekit.recipe.metric_rules import METRIC_RULES
from edgekit.recipe.nearest import did_you_mean, nearest
from edgekit.recipe.references import REFERENCES
from edgekit.recipe.rules import RULES, check
from edgekit.recipe.schema import SCHEMA_VERSION, Recipe
from edgekit.recipe.text_rules import TEXT_RULES
from edgekit.recipe.yaml_source import Document, Place, read_yaml

MAX_EXTENDS = 8


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of that name or path, with ``--set`` style ``overrides`` applied in order.

    A name without a path separator and without ``.yaml`` or ``.yml`` is a shipped recipe, even
    where a file of that name lies in the current folder. Relative paths in a recipe are taken
    from the folder of the file that wrote them, those of overrides from the current folder.
    Nothing is fetched and no framework is imported.

    Raises:
        RecipeError: not found, not YAML, or not valid; ``problems`` then lists everything.
    """
    path = find_recipe(name_or_path)
    document = _read(path, ())
    folders = {place.file: Path(place.file).parent for place in document.places.values()}
    for setting in overrides:
        document = with_override(document, setting)
    _check_schema(document)
    if "extends" in document.value:
        place = document.place(("extends",))
        raise RecipeError("cannot be overridden", where=Where(place.file, key="extends"))
    document = anchored(document, Recipe, lambda key: folders.get(document.place(key).file, Path()))
    return replace(validated(document), origin=path)


def validated(document: Document) -> Recipe:
    """The recipe that ``document`` holds; its paths are absolute and its root is a mapping.

    Raises:
        RecipeError: with every problem found.
    """
    problems = Problems(document)
    draft = bind(Recipe, document, problems, also=("extends",))
    kinds = FRAMEWORK_RULES + TEXT_RULES + AUDIO_RULES + METRIC_RULES + GATE_RULES
    rules = RULES + kinds + REFERENCES + ESTIMATOR_RULES + DEVICE_RULES
    check(rules, draft, problems)
    problems.raise_any()
    return cast(Recipe, draft.finish())


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with edgekit: path by name, in order of name."""
    return dict(shipped_names("recipes"))


def find_recipe(name_or_path: str, folder: Path | None = None, where: Where | None = None) -> Path:
    """The file of a shipped name, or of a path taken from ``folder`` (default: the current one).

    Raises:
        RecipeError: neither; ``where`` is the key that asked for it.
    """
    known = shipped_recipes()
    if is_path_like(name_or_path):
        path = Path(folder or "") / os.path.expanduser(name_or_path)
        if exists(str(path)):
            return path
        near = nearest(path.stem, known)
        hint = f"a shipped recipe is named without a path: {near[0]}" if near else None
        raise RecipeError(f"there is no recipe file {path}", where=where, hint=hint)
    if name_or_path in known:
        return known[name_or_path]
    hint = did_you_mean(name_or_path, known)
    for suffix in ("", ".yaml", ".yml"):
        if name_or_path and exists(str(Path(folder or "") / (name_or_path + suffix))):
            hint = f"for the file beside you, write ./{name_or_path}{suffix}"
    raise RecipeError(f"there is no recipe '{name_or_path}'", where=where, hint=hint)


def _read(path: Path, chain: tuple[Path, ...]) -> Document:
    """The file at ``path`` over what it extends; ``chain`` is who extends it, outermost first."""
    document = read_yaml(path)
    _check_root(document, path)
    if not chain and document.value.get("name") is None:
        document = _with(document, "name", path.stem, Place(str(path), 1))
    if chain:  # a name is one recipe's own
        document = Document({**document.value, "name": None}, document.places)
    parent = document.value.get("extends")
    if parent is None:
        return _without_extends(document)
    where = document.where(("extends",))
    if not isinstance(parent, str):
        raise RecipeError("expected the name or path of one recipe", where=where)
    base = find_recipe(parent, path.parent, where)
    chain = (*chain, path)
    if any(base.resolve() == other.resolve() for other in chain):
        names = " -> ".join(str(item) for item in (*chain, base))
        raise RecipeError(f"recipes that extend each other: {names}", where=where)
    if len(chain) > MAX_EXTENDS:
        raise RecipeError(f"more than {MAX_EXTENDS} recipes extend each other", where=where)
    return layered(_read(base, chain), _without_extends(document))


def _check_root(document: Document, path: Path) -> None:
    start = "a recipe starts with 'schema: 1', or with 'extends: NAME'"
    if document.value is None:
        raise RecipeError("the file is empty", where=Where(str(path)), hint=start)
    if not isinstance(document.value, dict):
        raise RecipeError("expected keys and values", where=Where(str(path), 1), hint=start)
    _check_schema(document)


def _check_schema(document: Document) -> None:
    version = document.value.get("schema", SCHEMA_VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version != SCHEMA_VERSION:
        raise RecipeError(
            f"this edgekit reads recipes of schema {SCHEMA_VERSION}, not {version}",
            where=document.where(("schema",)),
            hint="update edgekit" if version > SCHEMA_VERSION else None,
        )


def _with(document: Document, key: str, value: Any, place: Place) -> Document:
    return Document({**document.value, key: value}, {**document.places, (key,): place})


def _without_extends(document: Document) -> Document:
    value = {key: item for key, item in document.value.items() if key != "extends"}
    return Document(value, document.places)
