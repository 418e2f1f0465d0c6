"""The published JSON Schemas, and a check of a document against them.

Only the keywords that these schemas use (JSON Schema 2020-12, Core and Validation): so that a
report can be checked wherever edgekit runs, without a package more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Name = Literal["report", "evidence"]
_LARGEST = 1e300
"""JSON sets no bound to a number; what is larger cannot be drawn or computed with."""
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),  # a tuple where it has not been written yet
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


@cache
def schema(name: Name) -> Mapping[str, Any]:
    """The schema of ``<name>.json`` in a run folder."""
    found: dict[str, Any] = json.loads(schema_text(name))
    return found


def schema_text(name: Name) -> str:
    """As it is published."""
    return (files("edgekit.report") / f"{name}.schema.json").read_text(encoding="utf-8")


def first_problem(document: object, name: Name) -> str | None:
    """The first place where ``document`` departs from its schema, as ``key: what is wrong``."""
    whole = schema(name)
    return next(_problems(document, whole, whole, ""), None)


def _problems(
    value: object, rule: Mapping[str, Any], whole: Mapping[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in rule:
        rule = whole["$defs"][rule["$ref"].removeprefix("#/$defs/")]
    here = at or "the document"
    if "anyOf" in rule:
        found = [list(_problems(value, each, whole, at)) for each in rule["anyOf"]]
        if all(found):
            # The one that came furthest is what was meant.
            yield max(found, key=lambda problems: problems[0].partition(": ")[0].count("."))[0]
        return
    if "const" in rule and value != rule["const"]:
        yield f"{here}: must be {json.dumps(rule['const'])}, not {_shown(value)}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{here}: must be one of {', '.join(map(str, rule['enum']))}, not {_shown(value)}"
        return
    if "type" in rule and not _is(value, rule["type"]):
        names = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        yield f"{here}: must be {' or '.join(names)}, not {_shown(value)}"
        return
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{here}: {_shown(value)} does not match {rule['pattern']}"
    if isinstance(value, dict):
        yield from _in_object(value, rule, whole, at)
    if isinstance(value, list | tuple):
        if len(value) < rule.get("minItems", 0):
            yield f"{here}: has fewer than {rule['minItems']} items"
        for place, item in enumerate(value):
            yield from _problems(item, rule.get("items", {}), whole, f"{at}.{place}".lstrip("."))


def _in_object(
    value: Mapping[str, object], rule: Mapping[str, Any], whole: Mapping[str, Any], at: str
) -> Iterator[str]:
    known = rule.get("properties", {})
    for key, item in value.items():
        inner = known.get(key, rule.get("additionalProperties", True))
        path = f"{at}.{key}".lstrip(".")
        if inner is False:
            yield f"{path}: is not a key there"
        elif isinstance(inner, dict):
            yield from _problems(item, inner, whole, path)
    for key in rule.get("required", ()):
        if key not in value:
            yield f"{f'{at}.{key}'.lstrip('.')}: is missing"


def _is(value: object, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, bool):  # an int to Python, not to JSON
        return "boolean" in names
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:  # also infinite ones
        return False
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _TYPES[name]) for name in names)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
