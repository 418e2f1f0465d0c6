"""Unpack an archive without trusting it.

Only regular files and folders are written, below the given folder and nowhere else. A link to a
file of the same archive becomes a copy of that file; any other link, device or pipe is left out.
A name that is absolute or climbs out of the folder condemns the whole archive.
"""

from __future__ import annotations

import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgekit.errors import FetchError


def unpack(archive: Path, folder: Path, *, strip: int = 0) -> None:
    """Unpack a zip (a wheel) or a tar of any compression into ``folder``.

    ``strip`` leading folders are taken off every name; what lies above them is left out.

    Raises:
        FetchError: a damaged archive, or one with names that leave ``folder``.
    """
    with _clear_errors(archive):
        if zipfile.is_zipfile(archive):
            links = _unpack_zip(archive, folder, strip)
        else:
            links = _unpack_tar(archive, folder, strip)
        _copy_links(links, folder)


def _unpack_zip(archive: Path, folder: Path, strip: int) -> dict[str, str]:
    links: dict[str, str] = {}
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            name = _safe_name(member.filename, archive, strip)
            if name is None or member.is_dir():
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                target = bundle.read(member).decode("utf-8", "replace")
                links[name] = posixpath.join(posixpath.dirname(name), target)
                continue
            with bundle.open(member) as content:
                _write(content, folder / name)
    return links


def _unpack_tar(archive: Path, folder: Path, strip: int) -> dict[str, str]:
    links: dict[str, str] = {}
    with tarfile.open(archive) as bundle:
        for member in bundle:
            name = _safe_name(member.name, archive, strip)
            if name is None:
                continue
            if member.issym():
                links[name] = posixpath.join(posixpath.dirname(name), member.linkname)
            elif member.islnk():
                links[name] = "/".join(member.linkname.split("/")[strip:])
            elif member.isfile():
                content = bundle.extractfile(member)
                assert content is not None, "a regular file has content"
                with content:
                    _write(content, folder / name)
    return links


def _safe_name(name: str, archive: Path, strip: int) -> str | None:
    """``name`` normalised and stripped, or ``None`` if nothing of it is left."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise FetchError(
            f"{archive.name} is not safe to unpack: it holds the name {name!r}",
            hint="The package is broken or hostile; give a copy you trust with file:PATH.",
        )
    return "/".join(parts[strip:]) or None


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(content, out)


def _copy_links(links: dict[str, str], folder: Path) -> None:
    """Replace links by what they point to, link after link, until nothing more resolves."""
    waiting = {name: posixpath.normpath(target) for name, target in links.items()}
    while True:
        ready = [
            name
            for name, target in waiting.items()
            if not target.startswith(("/", "..")) and (folder / target).is_file()
        ]
        if not ready:
            return
        for name in ready:
            with (folder / waiting.pop(name)).open("rb") as content:
                _write(content, folder / name)


@contextmanager
def _clear_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as why:
        raise _damaged(archive, why) from why
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as why:
        raise _damaged(archive, "one name is both a file and a folder") from why
    except RuntimeError as why:  # how zipfile says that a member is encrypted
        raise _damaged(archive, why) from why


def _damaged(archive: Path, why: object) -> FetchError:
    return FetchError(
        f"{archive.name} cannot be unpacked: {why}",
        hint="Try again, or give a local copy with file:PATH.",
    )
