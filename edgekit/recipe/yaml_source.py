"""YAML text to plain values that remember where they stand.

Scalars have the types of ``yaml_types``; keys are always text, as written. Anchors, aliases and
``<<`` work; tags other than YAML's own, duplicate keys and a second document are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgekit.errors import EdgekitError, RecipeError, Where
from edgekit.recipe.yaml_types import Dumper, Loader

KeyPath = tuple[str | int, ...]
"""A place inside a document: mapping keys and list indices from the root, which is ``()``."""

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
"""Aliases can make a small text expand without end; no file of ours comes near this."""


@dataclass(frozen=True)
class Place:
    """Where a key or list item is written. Lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Document:
    """Plain values (dict, list, str, int, float, bool, None) and the place of each key path."""

    value: Any
    places: Mapping[KeyPath, Place]

    def place(self, path: KeyPath) -> Place:
        """The place of ``path``, or of its nearest enclosing key that is written."""
        for end in range(len(path), -1, -1):
            found = self.places.get(path[:end])
            if found is not None:
                return found
        raise KeyError(path)

    def where(self, path: KeyPath) -> Where:
        """As `place`, in the form errors carry."""
        place = self.place(path)
        return Where(place.file, place.line, dotted(path) or None)


def dotted(path: KeyPath) -> str:
    """``("inputs", 0, "shape")`` as ``inputs[0].shape``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def read_yaml(path: Path, *, error: type[EdgekitError] = RecipeError) -> Document:
    """Read and parse the file at ``path``; every failure is raised as ``error``."""
    file = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(
                f"too large to be a YAML file of edgekit's (over {MAX_BYTES} bytes)",
                where=Where(file),
            )
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error("not a text file in UTF-8", where=Where(file)) from cause
    except OSError as cause:
        reason = cause.strerror or type(cause).__name__
        raise error(f"cannot be read: {reason}", where=Where(file)) from cause
    except ValueError as cause:  # a NUL in the path
        raise error(f"cannot be read: {cause}", where=Where(repr(file))) from cause
    return parse_yaml(text, file, error=error)


def parse_yaml(text: str, file: str, *, error: type[EdgekitError] = RecipeError) -> Document:
    """Parse one YAML document; ``file`` is the name that errors give. Empty text is ``None``.

    Raises:
        error: not YAML, with the line and what was expected there.
    """
    try:
        loader = Loader(text)
        try:
            root = loader.get_single_node()
            reader = _Reader(loader, file, error)
            value = None if root is None else reader.read(root, ())
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as cause:
        line = text.count("\n", 0, cause.position) + 1
        raise error(
            f"the character U+{_code(cause.character):04X} is not allowed in YAML",
            where=Where(file, line),
        ) from cause
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line_or_none = None if mark is None else mark.line + 1
        raise error(
            f"not valid YAML: {_plain_words(cause)}", where=Where(file, line_or_none)
        ) from cause
    except RecursionError as cause:
        raise error("nested too deeply", where=Where(file)) from cause
    places = {(): Place(file, 1, 1), **reader.places}
    return Document(value, places)


def dump_yaml(value: Any) -> str:
    """Block-style YAML of plain values, in their own order; `parse_yaml` reads it back equal."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


_SCALAR_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _Reader:
    """Turns nodes into plain values, noting each key's place as it goes."""

    def __init__(self, loader: Loader, file: str, error: type[EdgekitError]):
        self.places: dict[KeyPath, Place] = {}
        self._loader = loader
        self._file = file
        self._error = error
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._fail(node, path, "expands to too many values (aliases of aliases?)")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise self._fail(node, path, "an alias (*) that contains itself")
        self._open.add(id(node))
        value: Any
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(",2002:seq"):
            value = [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode) and node.tag.endswith(",2002:map"):
            value = self._mapping(node, path)
        else:
            raise self._fail(node, path, f"the YAML tag {_tag(node)} is not allowed here")
        self._open.discard(id(node))
        return value

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._note(node, path)
        return self.read(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        value: dict[str, Any] = {}
        written: dict[str, int] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_TAG:
                merged += self._merged(value_node, path)
                continue
            key = self._key(key_node, path)
            if key in written:
                raise self._fail(
                    key_node, (*path, key), f"written twice; first on line {written[key]}"
                )
            written[key] = key_node.start_mark.line + 1
            self._note(key_node, (*path, key))
            value[key] = self.read(value_node, (*path, key))
        for key_node, value_node in merged:
            key = self._key(key_node, path)
            if key not in value:
                self._note(key_node, (*path, key))
                value[key] = self.read(value_node, (*path, key))
        return value

    def _merged(self, node: yaml.Node, path: KeyPath) -> list[tuple[yaml.Node, yaml.Node]]:
        """Pairs of the mapping or mappings that ``<<:`` names; the first to give a key wins."""
        mappings = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs = []
        for mapping in mappings:
            self._count += 1
            if not isinstance(mapping, yaml.MappingNode):
                raise self._fail(mapping, path, "'<<' takes a mapping or a list of mappings")
            if id(mapping) in self._open or self._count > MAX_NODES:
                raise self._fail(mapping, path, "a '<<' that contains itself")
            self._open.add(id(mapping))
            inherited = []
            for key_node, value_node in mapping.value:
                if key_node.tag == _MERGE_TAG:
                    inherited += self._merged(value_node, path)
                else:
                    pairs.append((key_node, value_node))
            pairs += inherited
            self._open.discard(id(mapping))
        return pairs

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._fail(node, path, "expected a plain name as the key")
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag == _MERGE_TAG:
            return str(node.value)
        if node.tag not in _SCALAR_TAGS:
            raise self._fail(node, path, f"the YAML tag {_tag(node)} is not allowed here")
        try:
            node.value.encode()
            return self._loader.construct_object(node)
        except (ValueError, KeyError) as cause:  # '!!int abc', 5000 digits, half a surrogate pair
            raise self._fail(
                node, path, f"{_short(node.value)} is not a {_tag(node)} value"
            ) from cause

    def _note(self, node: yaml.Node, path: KeyPath) -> None:
        mark = node.start_mark
        self.places[path] = Place(self._file, mark.line + 1, mark.column + 1)

    def _fail(self, node: yaml.Node, path: KeyPath, message: str) -> EdgekitError:
        where = Where(self._file, node.start_mark.line + 1, dotted(path) or None)
        return self._error(message, where=where)


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace("tag:yaml.org,2002:", "!!")


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def _code(character: str | int) -> int:
    return ord(character) if isinstance(character, str) else character


_PLAIN_WORDS = {
    "mapping values are not allowed": (
        "a second ':' in one line, or a line indented too far; "
        "expected one 'key: value', with quotes around a value that contains ': '"
    ),
    "cannot start any token": (
        "expected a key or a value; a tab cannot indent, "
        "and text that starts with one of % @ ` needs quotes"
    ),
    "could not find expected ':'": "expected ':' and a space after the key",
    "expected <block end>": (
        "expected a 'key: value' or '- item' in the same column as the lines above it"
    ),
    "expected ',' or ']'": "expected ',' or ']' in a [list]",
    "expected ',' or '}'": "expected ',' or '}' in a {mapping}",
    "but found another document": "expected one document; remove the second '---'",
    "unexpected end of stream": "expected a closing quote before the end of the file",
    "found undefined alias": "'*name' refers to an anchor '&name' that is not above it",
    "expected the node content": "expected a value here",
    "sequence entries are not allowed": (
        "a list item '- ...' cannot start here; put it on a line of its own, below its key"
    ),
}
"""PyYAML's words to ours; whatever is not listed is shown as PyYAML says it."""


def _plain_words(cause: yaml.MarkedYAMLError) -> str:
    problem = cause.problem or cause.context or "not readable"
    for theirs, ours in _PLAIN_WORDS.items():
        if theirs in problem:
            return ours
    return str(problem)
