"""Android resources of the demo as its code sees them (the class R), and what XML refers to."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_TYPES = {"string-array": "array"}
_NEW_ID = re.compile(r"@\+id/(\w+)")
_REFERENCE = re.compile(r"\"@(?:\+)?(\w+)/([\w.]+)\"")


def resources(res: Path) -> Mapping[str, set[str]]:
    """Names by type, of files and of values, below the folder ``res``."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(res.rglob("*.xml")):
        kind = file.parent.name.partition("-")[0]
        root = ElementTree.parse(file).getroot()
        if kind == "values":
            for item in root:
                found[_TYPES.get(item.tag, item.tag)].add(item.attrib["name"])
        else:
            found[kind].add(file.stem)
        found["id"].update(_NEW_ID.findall(file.read_text(encoding="utf-8")))
    return found


def dangling(files: list[Path], known: Mapping[str, set[str]]) -> list[str]:
    """References in XML ``files`` to resources that are not there."""
    return [
        f"{file.name}: @{kind}/{name}"
        for file in files
        for kind, name in _REFERENCE.findall(file.read_text(encoding="utf-8"))
        if name not in known[kind]
    ]


def class_r(package: str, known: Mapping[str, set[str]]) -> str:
    """Java source of R: what aapt would make of it, with other numbers."""
    lines = [f"package {package};", "public final class R {"]
    for kind, names in sorted(known.items()):
        lines.append(f"    public static final class {kind} {{")
        for number, name in enumerate(sorted(names)):
            field = name.replace(".", "_")
            lines.append(f"        public static final int {field} = {number};")
        lines.append("    }")
    return "\n".join([*lines, "}", ""])
