"""Unpacked packages: fetched once, kept in the cache, or installed in this environment."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.version import InvalidVersion, Version

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.errors import FetchError, IntegrityError, UsageError
from edgekit.fetch.clients import Form, deb_contents, download
from edgekit.fetch.source import Source
from edgekit.fetch.unpack import unpack
from edgekit.progress import Progress

FORMS: dict[str, tuple[Form, ...]] = {"pypi": ("wheel", "sdist"), "npm": ("npm",), "deb": ("deb",)}
"""In what forms a registry has a package, in the order they are asked for."""

_TREE = "tree"
_ARCHIVE = "archive.json"


@dataclass(frozen=True)
class Package:
    """``tree`` is what the archive held; ``sha256`` is that of the archive itself."""

    tree: Path
    archive: str
    sha256: str


def get_package(
    source: Source,
    form: Form,
    sha256: str | None,
    progress: Progress,
    cache: Cache,
    *,
    thorough: bool = False,
) -> Package:
    """``source``'s package in one form. ``sha256`` is what it, or a file in it, should have;
    ``thorough`` looks at every byte of what was unpacked before, else only at sizes.

    Raises:
        FetchError: the client is missing, or there is no such package in this form.
    """

    def make(folder: Path) -> None:
        inbox = folder / "inbox"
        inbox.mkdir()
        with progress.task(f"Fetching {source.package} ({form})"):
            archive = download(source, form, inbox)
            about = {"name": archive.name, "sha256": file_sha256(archive)}
            (folder / _ARCHIVE).write_text(json.dumps(about), encoding="utf-8")
            (folder / _TREE).mkdir()
            contents = deb_contents(archive, inbox) if form == "deb" else archive
            unpack(contents, folder / _TREE, strip=1 if form in ("sdist", "npm") else 0)
        shutil.rmtree(inbox)

    # An unpinned package is whatever its registry has today: a new promise asks again.
    version = ("unpinned", sha256) if source.version is None else source.version
    key = content_key({"name": source.name, "version": version, "form": form})
    # Whoever takes one file out of a package hashes that file; sizes suffice for the rest.
    check: Literal["sha256", "size"] = "sha256" if thorough else "size"
    entry = cache.get_or_make("packages", key, make, check=check)
    about = json.loads((entry.path / _ARCHIVE).read_text(encoding="utf-8"))
    return Package(entry.path / _TREE, about["name"], about["sha256"])


def installed(source: Source) -> metadata.Distribution | None:
    """This environment's own copy of the very version, if it has one."""
    if source.scheme != "pypi" or source.version is None:
        return None
    try:
        distribution = metadata.distribution(source.name)
        same = Version(distribution.version) == Version(source.version)
    except (metadata.PackageNotFoundError, InvalidVersion):
        return None
    return distribution if same else None


def local_path(source: Source, base: Path | None) -> Path:
    """Where a ``file`` source lies.

    Raises:
        UsageError: nowhere; near names are given.
    """
    assert source.path is not None, "a file source has a path"
    path = Path(source.path).expanduser()
    if not path.is_absolute() and base is not None:
        path = base / path
    if path.exists():
        return path
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=3)
    raise UsageError(
        f"no such file: {path}",
        hint=f"Near names there: {', '.join(near)}" if near else None,
    )


def telling(failures: Sequence[FetchError]) -> FetchError:
    """What went wrong, rather than that there is no other form of the package."""
    return next((why for why in failures if "Could not find" not in why.message), failures[0])


def near_names(path: str, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that ``path`` may have meant, for messages."""
    last = path.rpartition("/")[2]
    same_last = [name for name in names if name.rpartition("/")[2] == last]
    return list(dict.fromkeys(same_last + difflib.get_close_matches(path, names, n=5)))[:5]


def mismatch(name: str, actual: str, promised: str) -> IntegrityError:
    """The error that says both hashes."""
    return IntegrityError(
        f"{name} is not the promised file: its sha256 is {actual}, expected {promised.lower()}",
        hint="Get the right file, or, if you trust this one, write its sha256 in the recipe.",
    )
