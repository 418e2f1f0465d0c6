"""Folders from where they are published, for models that are one: a SavedModel in a package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit.cache import Cache, file_sha256
from edgekit.errors import FetchError, IntegrityError, UsageError
from edgekit.fetch.nested import inside, names_near
from edgekit.fetch.packages import (
    FORMS,
    get_package,
    installed,
    local_path,
    near_names,
    telling,
)
from edgekit.fetch.source import Source, parse_source
from edgekit.progress import Progress, SilentProgress


def tree_sha256(folder: Path) -> str:
    """sha256 (hex) of a folder: of the lines that ``sha256sum`` prints for its files, sorted.

    In a shell, in the folder (``-r`` is GNU's, and for a folder without files)::

        find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum
    """
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    lines = (f"{file_sha256(files[name])}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch_folder(
    source: str | Source,
    *,
    sha256: str | None,
    base: Path | None = None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
    cache: Cache | None = None,
) -> Path:
    """A local folder with the content of ``source``; ``sha256`` is its ``tree_sha256``.

    As ``fetch`` does for a file; the package is not installed for it, and a copy that is installed
    at that version serves only where its hash is the promised one.

    Raises:
        UsageError: not a source, no folder in it, or no such local folder.
        FetchError: the client is missing, cannot get the package, or the package has no such path.
        IntegrityError: the content is another than ``sha256`` says; its own hash is in the message.
    """
    source = parse_source(source) if isinstance(source, str) else source
    if source.scheme == "file":
        path = local_path(source, base)
        if not path.is_dir():
            raise UsageError(f"{path} is a file; a folder is needed here")
        _check(path, str(source), sha256)
        return path
    if source.path is None:
        raise UsageError(
            f"{source} names a package but no folder in it", hint=f"Write {source}/path/inside"
        )
    here = _installed_folder(source, sha256)
    return here if here is not None else _packaged(source, sha256, progress, cache or Cache())


def _installed_folder(source: Source, sha256: str | None) -> Path | None:
    distribution = installed(source)
    if distribution is None or source.path is None or sha256 is None:
        return None
    path = Path(str(distribution.locate_file(source.path)))
    return path if path.is_dir() and tree_sha256(path) == sha256.lower() else None


def _packaged(source: Source, sha256: str | None, progress: Progress, cache: Cache) -> Path:
    assert source.path is not None, "checked by fetch_folder"
    names: list[str] = []
    failures: list[FetchError] = []
    for form in FORMS[source.scheme]:
        try:
            tree = get_package(source, form, sha256, progress, cache).tree
        except FetchError as failure:
            failures.append(failure)
            continue
        path = inside(tree, source.path, cache, wanted=Path.is_dir)
        if path is not None and sha256 is not None and tree_sha256(path) != sha256.lower():
            # Damaged on disk? Then it is fetched again; if not, the promise was another.
            tree = get_package(source, form, sha256, progress, cache, thorough=True).tree
            path = inside(tree, source.path, cache, thorough=True, wanted=Path.is_dir)
        if path is not None:
            _check(path, str(source), sha256)
            return path
        names += names_near(tree, source.path, cache)
    if not names:
        raise telling(failures)
    if source.path in names:
        raise UsageError(f"{source} is a file; a folder is needed here")
    folders = sorted({name.rpartition("/")[0] for name in names} - {""})
    near = near_names(source.path, folders)
    raise FetchError(
        f"{source.package} holds no folder {source.path}",
        hint=f"Near names in it: {', '.join(near)}" if near else None,
    )


def _check(path: Path, name: str, sha256: str | None) -> None:
    if sha256 is not None and (actual := tree_sha256(path)) != sha256.lower():
        raise IntegrityError(
            f"{name} is not the promised folder: the sha256 over its files is {actual}, expected "
            f"{sha256.lower()}",
            hint="Get the right folder, or, if you trust this one, write its sha256 in the recipe.",
        )
