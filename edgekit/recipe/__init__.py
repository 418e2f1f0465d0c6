"""Recipes: what is quantized, how, and what it must reach; read from YAML and validated whole.

Names are imported on first use: other rooms take ``yaml_source`` or ``schema`` alone, and some of
those rooms are asked by validation in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.recipe.dump import recipe_to_dict, recipe_to_yaml
    from edgekit.recipe.load import load_recipe, shipped_recipes
    from edgekit.recipe.schema import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_to_dict", "recipe_to_yaml", "shipped_recipes"]

_HOME = {
    "Recipe": "schema",
    "load_recipe": "load",
    "recipe_to_dict": "dump",
    "recipe_to_yaml": "dump",
    "shipped_recipes": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
