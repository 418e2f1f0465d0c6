"""PyYAML's safe loader and dumper with the scalar types of YAML 1.2's core schema.

``on``, ``no`` and ``2024-01-01`` are text, ``1e-3`` is a number, only ``true`` and ``false`` are
booleans.
"""

from __future__ import annotations

import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's implicit types."""


class Dumper(yaml.SafeDumper):
    """Quotes whatever either version of YAML would take for something other than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # PyYAML folds these line breaks away in every style but the escaping one.
        style = '"' if re.search("[\r\x85\u2028\u2029]", data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        short = all(isinstance(item, int | float) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=short or flow_style)


Dumper.add_representer(str, Dumper.represent_str)
Loader.yaml_implicit_resolvers = {}
_INT = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
for _class in (Loader, Dumper):
    for _name, _pattern, _first in (
        ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
        ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
        ("int", _INT, "-+0123456789"),
        ("float", _FLOAT, "-+0123456789."),
        ("merge", re.compile(r"^<<$"), "<"),
    ):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, list(_first))
