"""A recipe back to plain values: for manifests, cache keys and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from edgekit.recipe.bind import keys
from edgekit.recipe.schema import Recipe
from edgekit.recipe.yaml_source import dump_yaml


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """All of the recipe as JSON-able values, defaults included; ``origin`` is left out."""
    plain: dict[str, Any] = _plain(recipe)
    return plain


def recipe_to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML that reads back equal. A null is a key at its default."""
    return dump_yaml(recipe_to_dict(recipe))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in keys(type(value))}  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
