"""Paths that lead through archives inside a package, as if these were folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.fetch.unpack import unpack


def inside(
    tree: Path,
    path: str,
    cache: Cache,
    *,
    thorough: bool = False,
    wanted: Callable[[Path], bool] = Path.is_file,
) -> Path | None:
    """The file at ``path`` below ``tree``, or ``None``; ``wanted`` tells a folder from a file.

    An archive on the way is unpacked into the cache, once for its content; ``thorough`` looks at
    every byte of what was unpacked before, else only at sizes.

    Raises:
        FetchError: a file on the way is no archive, a damaged one, or one with unsafe names.
    """
    if wanted(tree / path):
        return tree / path
    archive = _archive_on_the_way(tree, path)
    if archive is None:
        return None
    rest = (tree / path).relative_to(archive).as_posix()
    deeper = _unpacked(archive, cache, thorough=thorough)
    return inside(deeper, rest, cache, thorough=thorough, wanted=wanted)


def names_near(tree: Path, path: str, cache: Cache) -> list[str]:
    """Every file of ``tree`` and of the archives that ``path`` leads through, as a path writes
    it; for messages."""
    names = [file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file()]
    archive = _archive_on_the_way(tree, path)
    if archive is None:
        return names
    own = archive.relative_to(tree).as_posix()
    rest = (tree / path).relative_to(archive).as_posix()
    deeper = names_near(_unpacked(archive, cache, thorough=False), rest, cache)
    return [*names, *(f"{own}/{name}" for name in deeper)]


def _archive_on_the_way(tree: Path, path: str) -> Path | None:
    return next((above for above in (tree / path).parents if above.is_file()), None)


def _unpacked(archive: Path, cache: Cache, *, thorough: bool) -> Path:
    entry = cache.get_or_make(
        "archives",
        content_key({"archive": file_sha256(archive)}),
        lambda folder: unpack(archive, folder),
        check="sha256" if thorough else "size",
    )
    return entry.path
