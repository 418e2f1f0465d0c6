"""Relative paths belong to the folder of the file that wrote them; here they become absolute."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Union, cast, get_args, get_origin

from edgekit.errors import UsageError
from edgekit.fetch import parse_source
from edgekit.recipe.bind import keys
from edgekit.recipe.yaml_source import Document, KeyPath
from edgekit.resources import shipped

FolderOf = Callable[[KeyPath], Path]


def anchored(document: Document, cls: type, folder_of: FolderOf) -> Document:
    """``document`` with every relative path in it made absolute.

    ``folder_of`` gives the folder of the file that wrote the value at a key path. Values of a
    wrong type are left for validation to find.
    """
    return Document(_walk(cls, document.value, (), None, folder_of), document.places)


def _walk(kind: Any, raw: Any, path: KeyPath, refers: str | None, folder_of: FolderOf) -> Any:
    if isinstance(raw, str):
        if refers is None or not raw:
            return raw
        return _ANCHORS[refers](raw, folder_of(path))
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (option for option in get_args(kind) if option is not type(None))
    if is_dataclass(kind) and isinstance(raw, dict):
        known = keys(cast(type, kind))
        return {
            key: _walk(
                known[key][1], value, (*path, key), known[key][0].metadata.get("refers"), folder_of
            )
            if key in known
            else value
            for key, value in raw.items()
        }
    if get_origin(kind) is tuple and isinstance(raw, list):
        return [
            _walk(get_args(kind)[0], item, (*path, index), refers, folder_of)
            for index, item in enumerate(raw)
        ]
    return raw


def _source(text: str, folder: Path) -> str:
    try:
        source = parse_source(text)
    except UsageError:
        return text  # for validation to tell
    if source.scheme != "file" or source.path is None:
        return text
    return f"file:{_absolute(source.path, folder)}"


def _dataset(text: str, folder: Path) -> str:
    if names_function(text):
        return _factory(text, folder)
    if is_path_like(text):
        return _absolute(text, folder)
    if text in shipped_names("calibration"):
        return text
    path = _absolute(text, folder)
    return path if exists(path) else text


def _factory(text: str, folder: Path) -> str:
    module, colon, name = text.rpartition(":")
    if not module.endswith(".py"):
        return text
    return _absolute(module, folder) + colon + name


_ANCHORS: dict[str, Callable[[str, Path], str]] = {
    "source": _source,
    "dataset": _dataset,
    "factory": _factory,
}


def _absolute(path: str, folder: Path) -> str:
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


def is_path_like(text: str) -> bool:
    """Whether ``text`` says that it is a path: a separator in it, or a suffix of ours."""
    return "/" in text or os.sep in text or text.endswith((".yaml", ".yml", ".npy", ".npz"))


def names_function(text: str) -> bool:
    """Whether a dataset is a function's: ``file.py:function`` or ``package.module:function``."""
    module, colon, function = text.rpartition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    by_module = dotted and module != "file"  # file:photos is a path
    named = all(part.isidentifier() for part in function.split("."))
    return bool(colon) and named and (module.endswith(".py") or by_module)


def exists(path: str) -> bool:
    """As ``os.path.exists``; a path that no file can have does not exist."""
    try:
        return os.path.exists(path)
    except ValueError:  # a NUL in it
        return False


@cache
def shipped_names(folder: str) -> dict[str, Path]:
    """The YAML files that ship with edgekit in ``folder``: path by name, in order of name."""
    return {path.stem: path for path in sorted(shipped(folder).glob("*.yaml"))}  # type: ignore[arg-type]
