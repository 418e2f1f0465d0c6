"""Plain values to the frozen dataclasses of a schema, with every misfit noted.

Binding knows types and the limits in field metadata, nothing about recipes. Its first result is a
`Draft`, so that rules which span several keys can run on whatever part is sound.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from edgekit.errors import RecipeError
from edgekit.recipe.nearest import did_you_mean, nearest
from edgekit.recipe.yaml_source import Document, KeyPath

_TOO_LARGE = 2**63


class Unsound(Exception):
    """A rule asked a `Draft` for a key that has a problem already."""


class Problems:
    """Collects what is wrong with one document."""

    def __init__(self, document: Document):
        self._document = document
        self._found: list[RecipeError] = []

    def add(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        """Note ``message`` at the place of ``path``."""
        self._found.append(RecipeError(message, hint=hint, where=self._document.where(path)))

    def __len__(self) -> int:
        return len(self._found)

    def raise_any(self) -> None:
        """Raise one `RecipeError` that lists all, in file order; return if there are none."""
        if not self._found:
            return
        found = sorted(self._found, key=_file_order)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise RecipeError(f"{count} in the recipe", problems=tuple(found))


def _file_order(problem: RecipeError) -> tuple[str, int]:
    where = problem.where
    return ("", 0) if where is None else (where.file, where.line or 0)


class Draft:
    """A dataclass in the making: sound fields as attributes, others raise `Unsound`."""

    def __init__(self, cls: type, sound: dict[str, Any]):
        self._cls = cls
        self._sound = sound

    def __getattr__(self, name: str) -> Any:
        try:
            return self._sound[name]
        except KeyError:
            raise Unsound(name) from None

    def finish(self) -> Any:
        """The dataclass itself. Only called when there were no problems."""
        return self._cls(**{name: _finished(value) for name, value in self._sound.items()})


def _finished(value: Any) -> Any:
    if isinstance(value, Draft):
        return value.finish()
    if isinstance(value, tuple):
        return tuple(_finished(item) for item in value)
    return value


class _Unfit(Exception):
    """A value that has been noted as a problem."""


@cache
def keys(cls: type) -> Mapping[str, tuple[Field[Any], Any]]:
    """The keys a section takes: field and resolved type, by name."""
    hints = get_type_hints(cls)
    return {
        field.name: (field, hints[field.name])
        for field in fields(cls)
        if not field.metadata.get("internal")
    }


def bind(cls: type, document: Document, problems: Problems, also: tuple[str, ...] = ()) -> Draft:
    """Bind the whole document to ``cls``; null stands for a key that is not written.

    The root must be a mapping. ``also`` names root keys that the caller has taken out before, so
    that a misspelt one is recognised.
    """
    return _Binder(problems, cls, also).section(cls, document.value, ())


class _Binder:
    def __init__(self, problems: Problems, root: type, also: tuple[str, ...]):
        self._problems = problems
        self._root = root
        self._also = also

    def section(self, cls: type, value: Mapping[str, Any], path: KeyPath) -> Draft:
        known = keys(cls)
        sound: dict[str, Any] = {}
        meant: set[str] = set()
        for key in value:
            if key not in known:
                meant.update(self._unknown_key(key, value, known, path))
        for name, (field, kind) in known.items():
            raw = value.get(name)
            if raw is not None:
                try:
                    sound[name] = self._value(kind, raw, (*path, name), field.metadata)
                except _Unfit:
                    continue
            elif name in meant:
                continue
            elif field.default is not MISSING:
                sound[name] = field.default
            elif field.default_factory is not MISSING:
                sound[name] = field.default_factory()
            else:
                message = "a key that must be given is missing"
                self._problems.add((*path, name), message, f"{name}: {field.metadata['doc']}")
        return Draft(cls, sound)

    def _unknown_key(
        self, key: str, value: Mapping[str, Any], known: Mapping[str, Any], path: KeyPath
    ) -> list[str]:
        """Note ``key`` and return the keys it may have been meant for."""
        names = [*known, *(self._also if path == () else ())]
        meant = nearest(key, [name for name in names if name not in value]) or nearest(key, names)
        homes = [] if meant else _homes(self._root, key)
        if homes:
            hint: str | None = f"did you mean {' or '.join(repr(home) for home in homes)}?"
        else:
            hint = did_you_mean(key, meant or names)
        self._problems.add((*path, key), "unknown key", hint)
        return meant

    def _value(self, kind: Any, raw: Any, path: KeyPath, limits: Mapping[str, Any]) -> Any:
        """``raw`` as ``kind``; otherwise its problems are noted and `_Unfit` raised."""
        if get_origin(kind) in (Union, types.UnionType):
            kind = _not_none(kind)
        origin = get_origin(kind)
        if origin is tuple:
            return self._list(get_args(kind)[0], raw, path, limits)
        if origin is Literal and isinstance(raw, str):
            return self._choice(get_args(kind), raw, path)
        if is_dataclass(kind) and isinstance(raw, dict):
            return self.section(cast(type, kind), raw, path)
        if origin is Mapping and isinstance(raw, dict):
            inner = get_args(kind)[1]
            return self._free(raw, path) if inner is Any else self._each(inner, raw, path, limits)
        if kind is bool and isinstance(raw, bool):
            return raw
        if kind in (int, float) and isinstance(raw, int | float) and not isinstance(raw, bool):
            return self._number(kind, raw, path, limits)
        if kind is str and isinstance(raw, str):
            if raw or limits.get("may_be_empty"):
                return raw
            raise self._unfit(path, "the text is empty")
        raise self._unfit(path, f"expected {described(kind)}, not {_shown(raw)}")

    def _list(
        self, kind: Any, raw: Any, path: KeyPath, limits: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            if is_dataclass(kind) or isinstance(raw, dict):
                wanted = described(kind, many=True)
                raise self._unfit(path, f"expected a list of {wanted}, not {_shown(raw)}")
            return (self._value(kind, raw, path, limits),)  # one value is a list of one
        items = []
        for index, item in enumerate(raw):
            try:
                items.append(self._value(kind, item, (*path, index), limits))
            except _Unfit:
                continue
        if len(items) != len(raw):
            raise _Unfit
        return tuple(items)

    def _each(
        self, kind: Any, raw: Mapping[str, Any], path: KeyPath, limits: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A mapping whose keys are free and whose values are all of ``kind``."""
        items = {}
        for key, item in raw.items():
            if item is None:  # as everywhere: a key that is not written
                continue
            try:
                items[key] = self._value(kind, item, (*path, key), limits)
            except _Unfit:
                continue
        if len(items) != sum(item is not None for item in raw.values()):
            raise _Unfit
        return items

    def _choice(self, choice: tuple[str, ...], raw: str, path: KeyPath) -> str:
        if raw in choice:
            return raw
        hint = did_you_mean(raw, choice) if nearest(raw, choice) else None
        raise self._unfit(path, f"{_shown(raw)} is not one of {', '.join(choice)}", hint)

    def _number(
        self, kind: type, raw: int | float, path: KeyPath, limits: Mapping[str, Any]
    ) -> int | float:
        broken = None
        if kind is int and not isinstance(raw, int):
            broken = f"expected {described(int)}"
        elif isinstance(raw, int) and abs(raw) >= _TOO_LARGE:
            broken = "out of range"
        elif not math.isfinite(raw):
            broken = "expected a finite number"
        elif "above" in limits and not raw > limits["above"]:
            broken = f"must be above {limits['above']}"
        elif "at_least" in limits and raw < limits["at_least"]:
            broken = f"must be at least {limits['at_least']}"
        elif "at_most" in limits and raw > limits["at_most"]:
            broken = f"must be at most {limits['at_most']}"
        if broken is not None:
            raise self._unfit(path, f"{broken}, not {_shown(raw)}")
        return float(raw) if kind is float else raw

    def _free(self, raw: Any, path: KeyPath) -> Any:
        """Values without a schema: whatever JSON can hold."""
        if isinstance(raw, dict):
            return {key: self._free(item, (*path, key)) for key, item in raw.items()}
        if isinstance(raw, list):
            return [self._free(item, (*path, index)) for index, item in enumerate(raw)]
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return self._number(type(raw), raw, path, {})
        return raw

    def _unfit(self, path: KeyPath, message: str, hint: str | None = None) -> _Unfit:
        self._problems.add(path, message, hint)
        return _Unfit(message)


def _homes(cls: type, key: str, prefix: str = "") -> list[str]:
    """Where else in the schema a key of this name lives."""
    found = []
    for name, (_, kind) in keys(cls).items():
        if name == key:
            found.append(prefix + name)
        for section in (kind, *get_args(kind)):
            if is_dataclass(section):
                found += _homes(cast(type, section), key, f"{prefix}{name}.")
    return found


def _not_none(kind: Any) -> Any:
    (inner,) = (option for option in get_args(kind) if option is not type(None))
    return inner


def described(kind: Any, *, many: bool = False) -> str:
    """A type in a reader's words: ``a whole number``, ``a list of texts``."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return described(_not_none(kind), many=many)
    if origin is tuple:
        inner = described(get_args(kind)[0], many=True)
        return f"lists of {inner}" if many else f"a list of {inner}"
    if origin is Mapping and get_args(kind)[1] is not Any:
        inner = described(get_args(kind)[1], many=True)
        return f"mappings of names to {inner}" if many else f"a mapping of names to {inner}"
    if origin is Literal:
        return f"{'any' if many else 'one'} of {', '.join(map(str, get_args(kind)))}"
    one, several = {
        bool: ("true or false", "true or false"),
        int: ("a whole number", "whole numbers"),
        float: ("a number", "numbers"),
        str: ("a text", "texts"),
    }.get(kind, ("a mapping of keys", "mappings"))
    return several if many else one


def _shown(raw: Any) -> str:
    match raw:
        case None:
            return "null"
        case bool():
            return str(raw).lower()
        case str():
            return f"the text {raw if len(raw) <= 40 else raw[:37] + '...'!r}"
        case dict():
            return "a mapping of keys"
        case list():
            return "a list"
    if isinstance(raw, int) and abs(raw) >= _TOO_LARGE:
        return "a very long number"
    return str(raw)
