"""Hold the members of Android that bytecode names against the stubs made from android.jar.

The Python stubs of chaquopy-stubs-android (API 36) were generated from Google's own android.jar:
every class, method, overload and field is there, parameters with their Java types. A member is good
if its class, or one that it inherits from, has it with parameters of the same types; what the
stubs cannot tell apart (a short from an int that is returned) is not looked at.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_REFERENCE = re.compile(
    r"= (?:Method|InterfaceMethod|Field)ref\s+\S+\s+//\s+([\w/$]+)\.(\"<init>\"|[\w$]+):(\S+)"
)
_CLASS = re.compile(r"= Class\s+\[*L?(android/[\w/$]+);?")
_HEADING = re.compile(r"(?:class|interface) ([\w.$]+)")
_DECLARED = re.compile(
    r"^  \S.*?([\w.$]+)(\(.*\))?(?: throws [\w., ]+)?;\n    descriptor: (\S+)$", re.M
)
_DESCRIPTOR = re.compile(r"\[*(?:L[^;]+;|[BCDFIJSZ])")
_PRIMITIVES = {
    "B": "Byte",
    "C": "Char",
    "D": "Double",
    "F": "Float",
    "I": "Int",
    "J": "Long",
    "S": "Short",
    "Z": "Boolean",
}


@dataclass(frozen=True, order=True)
class Member:
    """A method or field that bytecode names. ``parameters`` are in the notation of class files,
    ``None`` of a field."""

    owner: str
    name: str
    parameters: tuple[str, ...] | None

    def __str__(self) -> str:
        text = "" if self.parameters is None else f"({' '.join(self.parameters)})"
        return f"{self.owner}.{self.name}{text}"


def members_named(jar: Path, package: str) -> tuple[set[Member], set[str]]:
    """Android's members and classes that the classes of ``package`` (``dev/edgekit/``) in ``jar``
    name."""
    text = _javap(jar, _classes(jar, package), "-p", "-v")
    members = {
        _member(owner, name, descriptor)
        for owner, name, descriptor in _REFERENCE.findall(text)
        if owner.startswith("android/")
    }
    return members, {_dotted(name) for name in _CLASS.findall(text)}


def members_declared(jar: Path, package: str) -> set[Member]:
    """What the classes of ``package`` in ``jar`` declare for others, default constructors not."""
    found = set()
    for text in _javap(jar, _classes(jar, package), "-protected", "-s").split("Compiled from ")[1:]:
        heading = _HEADING.search(text)
        assert heading is not None, text
        owner = heading[1]
        for member, brackets, descriptor in _DECLARED.findall(text):
            if member != owner:
                found.add(_member(owner, member, descriptor))
            elif brackets != "()":
                found.add(_member(owner, '"<init>"', descriptor))
    return found


def _classes(jar: Path, package: str) -> list[str]:
    with zipfile.ZipFile(jar) as archive:
        names = [name for name in archive.namelist() if name.startswith(package)]
    return [name.removesuffix(".class") for name in names if name.endswith(".class")]


def _javap(jar: Path, classes: Sequence[str], *options: str) -> str:
    javap = shutil.which("javap")
    assert javap is not None, "where javac is, javap is"
    command = [javap, *options, "-cp", str(jar), *classes]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _member(owner: str, name: str, descriptor: str) -> Member:
    plain = "__init__" if name == '"<init>"' else name
    if not descriptor.startswith("("):
        return Member(_dotted(owner), plain, None)
    inside = descriptor[1 : descriptor.index(")")]
    return Member(_dotted(owner), plain, tuple(_DESCRIPTOR.findall(inside)))


def _dotted(name: str) -> str:
    return name.replace("/", ".").replace("$", ".")


class Stubs:
    """The classes below an unpacked chaquopy-stubs-android."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._module = cache(self._parse)

    def has(self, member: Member) -> bool:
        """Whether ``member`` is there, in its class or one that this inherits from."""
        return any(
            _matches(each, member)
            for node, _ in self._lineage(member.owner, frozenset())
            for each in node.body
        )

    def has_class(self, name: str) -> bool:
        return self._class(name) is not None

    def _lineage(self, name: str, seen: frozenset[str]) -> Iterator[tuple[ast.ClassDef, str]]:
        found = self._class(name)
        if found is None or name in seen:
            return
        yield found
        node, package = found
        for base in node.bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            text = ast.unparse(plain)
            for candidate in (text, f"{package}.{text}"):
                yield from self._lineage(candidate, seen | {name})

    def _class(self, name: str) -> tuple[ast.ClassDef, str] | None:
        parts = name.split(".")
        first = next((at for at, part in enumerate(parts) if part[:1].isupper()), len(parts))
        package = ".".join(parts[:first])
        body = self._module(package)
        node = None
        for part in parts[first:]:
            of_that_name = (e for e in body if isinstance(e, ast.ClassDef) and e.name == part)
            node = next(of_that_name, None)
            if node is None:
                return None
            body = node.body
        return None if node is None else (node, package)

    def _parse(self, package: str) -> list[ast.stmt]:
        top, *rest = package.split(".")
        file = self._folder.joinpath(f"{top}-stubs", *rest, "__init__.pyi")
        return ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []


def _matches(node: ast.stmt, member: Member) -> bool:
    if isinstance(node, ast.AnnAssign):
        return member.parameters is None and ast.unparse(node.target) == member.name
    if not isinstance(node, ast.FunctionDef) or node.name != member.name:
        return False
    if member.parameters is None:
        return False
    given = [*node.args.posonlyargs, *node.args.args]
    if not any(ast.unparse(each) == "staticmethod" for each in node.decorator_list):
        given = given[1:]
    wanted = list(member.parameters)
    if node.args.vararg is not None and wanted:
        given.append(node.args.vararg)
        wanted[-1] = wanted[-1].removeprefix("[")
    return len(given) == len(wanted) and all(map(_takes, given, wanted))


def _takes(parameter: ast.arg, wanted: str) -> bool:
    """Whether a stub's parameter is of the Java type that a descriptor says."""
    assert parameter.annotation is not None, "the stubs are complete"
    options = [each.partition("[")[0] for each in ast.unparse(parameter.annotation).split(" | ")]
    if wanted.startswith("["):
        element = _PRIMITIVES.get(wanted[1:])
        return f"java.chaquopy.JavaArray{'' if element is None else f'J{element}'}" in options
    if wanted in _PRIMITIVES:
        return f"java.j{_PRIMITIVES[wanted].lower()}" in options
    name = _dotted(wanted[1:-1])
    if name == "java.lang.Class":
        return "typing.Type" in options
    return any(name == option or name.endswith(f".{option}") for option in options)
