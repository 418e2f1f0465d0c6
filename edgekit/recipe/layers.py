"""One document out of several: a recipe over the one it extends, ``--set`` over both."""

from __future__ import annotations

import copy
import re
from typing import Any

from edgekit.errors import RecipeError, Where
from edgekit.recipe.yaml_source import Document, KeyPath, Place, dotted, parse_yaml

_HASHED = ("source", "file", "weights")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*(?:\[[0-9]{1,4}\])*"
_SET = re.compile(rf"\s*({_NAME}(?:\.{_NAME})*)\s*=(.*)", re.DOTALL)


def layered(base: Document, top: Document) -> Document:
    """``top`` over ``base``: mappings merge key by key, everything else is replaced.

    Each key keeps the place, and so the file, that wrote its value.
    """
    places: dict[KeyPath, Place] = {(): top.places[()]}
    value = _merge(base, base.value, top, top.value, (), places)
    return Document(value, places)


def _merge(
    base: Document,
    below: dict[str, Any],
    top: Document,
    above: dict[str, Any],
    path: KeyPath,
    places: dict[KeyPath, Place],
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    if any(above.get(key, below.get(key)) != below.get(key) for key in _HASHED):
        # The hash of a file says nothing of the one that replaces it.
        below = {key: value for key, value in below.items() if key != "sha256"}
    for key in {**below, **above}:
        here = (*path, key)
        if isinstance(below.get(key), dict) and isinstance(above.get(key), dict):
            places[here] = top.place(here)
            merged[key] = _merge(base, below[key], top, above[key], here, places)
        else:
            source, values = (top, above) if key in above else (base, below)
            merged[key] = values[key]
            places.update(_under(source, here))
    return merged


def _under(document: Document, path: KeyPath) -> dict[KeyPath, Place]:
    return {key: place for key, place in document.places.items() if key[: len(path)] == path}


def with_override(document: Document, setting: str) -> Document:
    """``document`` with one ``key.path=value`` of ``--set`` applied; the value is read as YAML.

    List items are addressed as ``inputs[0]``. An empty value is null: the key's default.

    Raises:
        RecipeError: ``setting`` has another form, or goes through something that has no keys.
    """
    label = f"--set {setting}"
    match = _SET.fullmatch(setting)
    if match is None:
        raise RecipeError(
            "expected KEY=VALUE", where=Where(label), hint="e.g. --set calibration.samples=200"
        )
    path = _path(match[1])
    value = copy.deepcopy(document.value)
    places = {key: at for key, at in document.places.items() if key[: len(path)] != path}
    holder = value
    for depth, part in enumerate(path[:-1]):
        if isinstance(holder, dict) and holder.get(str(part)) is None:
            holder[str(part)] = {}
            places[path[: depth + 1]] = Place(label)
        _check_holds(holder, part, path[:depth], label)
        holder = holder[part]
    _check_holds(holder, path[-1], path[:-1], label)
    holder[path[-1]] = parse_yaml(match[2], label).value
    places[path] = Place(label)
    return Document(value, places)


def _check_holds(holder: Any, part: str | int, path: KeyPath, label: str) -> None:
    if isinstance(part, str) and isinstance(holder, dict):
        return
    if isinstance(part, int) and isinstance(holder, list):
        if part < len(holder):
            return
        message = f"there is no item {part}; the list has {len(holder)}"
    elif isinstance(part, int):
        message = "is not a list"
    elif isinstance(holder, list):
        message = f"is a list; give an item's number, e.g. {dotted(path)}[0].{part}"
    else:
        message = f"has no keys, so no '{part}'"
    raise RecipeError(message, where=Where(label, key=dotted(path) or None))


def _path(text: str) -> KeyPath:
    parts: list[str | int] = []
    for name in text.split("."):
        key, *indices = name.replace("]", "").split("[")
        parts += [key, *map(int, indices)]
    return tuple(parts)
