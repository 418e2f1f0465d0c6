"""Put files into an Android project: whole or not at all, and over nothing that is not ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgekit.cache import file_sha256
from edgekit.errors import OutputError, UsageError

RECORD = "edgekit-export.json"
"""In the module's folder: what an export wrote there, so that the next one knows its own files."""
_PARTIAL = ".edgekit-export.partial"
_BUILD_FILES = ("build.gradle.kts", "build.gradle")
_SETTINGS_FILES = ("settings.gradle.kts", "settings.gradle")


def find_module(project: Path, name: str) -> Path:
    """The folder of the app's module: ``name`` in ``project``, or ``project`` itself.

    Raises:
        UsageError: neither is an Android module.
    """
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="Give an Android project with --to.")
    for folder in (project / name, project):
        if any((folder / file).is_file() for file in _BUILD_FILES) and (folder / "src").is_dir():
            return folder
    raise UsageError(
        f"{project} is no Android project: neither it nor its {name}/ has a build.gradle(.kts) "
        "and src/",
        hint="Give the project's folder with --to, and the module's name with --module.",
    )


def project_of(module: Path) -> Path | None:
    """The Gradle project that ``module`` is a part of, if it says where its settings are."""
    return next(
        (
            folder
            for folder in (module, *module.absolute().parents)
            if any((folder / name).is_file() for name in _SETTINGS_FILES)
        ),
        None,
    )


def place(module: Path, staged: Path, *, force: bool) -> list[Path]:
    """Move every file below ``staged`` to its like path in ``module``; returns these paths.

    ``staged`` lies in ``module``. What an earlier export wrote and this one does not is removed.

    Raises:
        OutputError: a file in the way that no export wrote, or that was changed since, or where a
            folder is needed; nothing is moved then. Or the disk refuses.
    """
    new = {
        file.relative_to(staged).as_posix(): file_sha256(file)
        for file in sorted(staged.rglob("*"))
        if file.is_file()
    }
    old = recorded(module)
    _check_folders(module, new)
    foreign = [
        name
        for name, sha256 in new.items()
        if _stands(module / name) and not _is_ours(module / name, old.get(name), sha256)
    ]
    if foreign and not force:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise OutputError(
            f"{module} already has {', '.join(foreign[:3])}{more}, which no export wrote or which "
            "was changed since",
            hint="Give --force to replace them, or another --package.",
        )
    # Named first: should this stop half-way, the next export knows both old and new as its own.
    _write_record(
        module,
        staged,
        {**old, **{name: [*old.get(name, ()), sha256] for name, sha256 in new.items()}},
    )
    for name in new:
        target = module / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged / name, target)
    for name in old.keys() - new.keys():
        if _stands(module / name) and _is_ours(module / name, old[name], None):
            (module / name).unlink()
            _remove_empty((module / name).parent, module)
    _write_record(module, staged, {name: [sha256] for name, sha256 in new.items()})
    return [module / name for name in new]


def _check_folders(module: Path, names: Iterable[str]) -> None:
    for folder in {parent for name in names for parent in Path(name).parents}:
        if _stands(module / folder) and not (module / folder).is_dir():
            raise OutputError(
                f"{module / folder} is a file, where the export needs a folder",
                hint="Move it away, or give another --package.",
            )


def recorded(module: Path) -> Mapping[str, list[str]]:
    """Of each file that exports wrote into ``module``: the sha256 it may have.

    Raises:
        OutputError: the record cannot be read.
    """
    file = module / RECORD
    try:
        files = json.loads(file.read_text(encoding="utf-8"))["files"]
        return {str(name): [str(each) for each in hashes] for name, hashes in files.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{file} cannot be read: {error}",
            hint="Remove it; files that are there then need --force.",
        ) from error


def staging_folder(module: Path) -> Path:
    """An empty folder in ``module`` to write into; what a stopped export left there goes."""
    folder = module / _PARTIAL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _write_record(module: Path, staged: Path, files: Mapping[str, list[str]]) -> None:
    partial = staged / RECORD
    content = {"schema": 1, "files": dict(sorted(files.items()))}
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, module / RECORD)


def _stands(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _is_ours(file: Path, recorded_hashes: list[str] | None, new: str | None) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    found = file_sha256(file)
    return found == new or found in (recorded_hashes or ())


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
