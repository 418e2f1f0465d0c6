"""``edgekit export-android``: everything an app needs of a run, in one Android module."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.android.golden import golden_vectors, write_golden
from edgekit.android.kotlin import (
    CLASS,
    CORE,
    check_package,
    contract_source,
    contract_test_source,
)
from edgekit.android.pictures import drawn, photos
from edgekit.android.project import find_module, place, project_of, recorded, staging_folder
from edgekit.android.run_files import CONTRACT, LABELS, MODEL, RunFiles, read_run_files
from edgekit.cache import file_sha256
from edgekit.errors import OutputError
from edgekit.progress import Progress, SilentProgress
from edgekit.resources import shipped
from edgekit.runtimes import open_session

ASSETS = Path("src/main/assets/edgekit")
GOLDEN = Path("src/test/resources/edgekit")
_SOURCES = Path("src/main/kotlin")
_TESTS = Path("src/test/kotlin")


@dataclass(frozen=True)
class Exported:
    """What an export wrote, by path; ``pictures`` is the number of golden vectors, ``core`` whether
    edgekit's Kotlin core was copied because the project had none."""

    module: Path
    files: tuple[Path, ...]
    pictures: int
    core: bool


def export_android(
    run: Path,
    project: Path,
    *,
    module: str = "app",
    package: str = "dev.edgekit.model",
    labels: Path | None = None,
    pictures: Path | None = None,
    with_float: bool = True,
    force: bool = False,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
) -> Exported:
    """Write the model of ``run`` and all that belongs to it into ``project``.

    ``labels`` stands in for the run's own class names; golden vectors are made from ``pictures``, a
    folder, or from small ones drawn for it. Files of an earlier export are replaced; with ``force``
    other ones too.

    Raises:
        UsageError: no run that an app can take, no Android project, no package name.
        DataError: class names or pictures that do not fit.
        IntegrityError: a file of the run was changed.
        OutputError: a file in the way, or a folder that cannot be written.
        SessionError, MissingError: the model cannot be run for golden vectors.
    """
    check_package(package)
    files = read_run_files(run, labels=labels, with_float=with_float)
    folder = find_module(project, module)
    with_core = not _has_core(project, folder)
    try:
        staged = staging_folder(folder)
        try:
            count = _write_golden(files, staged / GOLDEN, pictures, progress)
            _write_assets(files, staged)
            _write_kotlin(files, staged, package)
            if with_core:
                _copy_core(staged)
            placed = place(folder, staged, force=force)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror or error}",
            hint="Free some space, or give a folder you can write to with --to.",
        ) from error
    return Exported(folder, tuple(placed), count, with_core)


def _write_golden(files: RunFiles, folder: Path, pictures: Path | None, progress: Progress) -> int:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        chosen = drawn(Path(scratch)) if pictures is None else photos(pictures)
        task = f"Computing {len(chosen)} golden vectors"
        with progress.task(task), open_session(files.folder / MODEL) as session:
            content, binary = golden_vectors(files, session, chosen)
    write_golden(folder, content, binary)
    return len(chosen)


def _write_assets(files: RunFiles, staged: Path) -> None:
    assets = staged / ASSETS
    assets.mkdir(parents=True)
    for name, file in files.files.items():
        shutil.copyfile(file, assets / name)
    contract = json.dumps(files.contract, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    names = "\n".join(files.labels) + "\n"
    for folder in (assets, staged / GOLDEN):
        (folder / CONTRACT).write_text(contract, encoding="utf-8")
        (folder / LABELS).write_text(names, encoding="utf-8")


def _write_kotlin(files: RunFiles, staged: Path, package: str) -> None:
    name = f"{files.recipe.name}/{files.folder.absolute().name}"
    path = Path(*package.split("."))
    sha256 = file_sha256(files.folder / MODEL)
    for root, suffix, text in (
        (_SOURCES, "", contract_source(package, files.contract, run=name, model_sha256=sha256)),
        (_TESTS, "Test", contract_test_source(package, run=name)),
    ):
        file = staged / root / path / f"{CLASS}{suffix}.kt"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")


def _has_core(project: Path, module: Path) -> bool:
    """Whether the project has edgekit's core by itself, not from an earlier export."""
    ours = {(module / name).resolve() for name in recorded(module)}
    whole = project_of(module) or project  # --to may name the module
    wanted = f"src/*/*/{CORE.replace('.', '/')}/Contract.kt"
    found = {path.resolve() for path in (*whole.glob(f"*/{wanted}"), *whole.glob(wanted))}
    return bool(found - ours)


def _copy_core(staged: Path) -> None:
    target = staged / _SOURCES / CORE.replace(".", "/")
    target.mkdir(parents=True)
    for file in sorted(shipped("kotlin").glob("*.kt")):
        shutil.copyfile(file, target / file.name)
