"""An image folder as a dataset: flat, or with one sub-folder a class.

Sub-folders named ``calibration``, ``dev`` and ``eval`` (nothing else beside them) are the three
roles themselves, each flat or with class folders. Any other folder is split by content; see
``dataset.split``. A class's index is its place among the sorted folder names, unless every name
is a whole number: then that is the index.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from edgekit.cache import file_sha256
from edgekit.data.dataset import ImageList, ImageRef, split
from edgekit.data.images import SUFFIXES, load_image
from edgekit.errors import DataError
from edgekit.types import Role

ROLE_NAMES = frozenset(role.value for role in Role)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the class folders of an image folder in the order of their class indices; ``()``
    where there are none."""
    classes = _class_names(_homes(folder))
    return tuple(sorted(classes, key=_indices(classes).__getitem__))


def list_folder(folder: Path, role: Role, on_broken: Literal["error", "skip"]) -> ImageList:
    """The images of ``folder`` that have ``role``.

    Raises:
        DataError: no images, images beside class folders, or an unreadable file.
    """
    homes = _homes(folder)
    by_role = homes != [folder]
    classes = _class_names(homes)
    own = folder / role.value if by_role else folder
    if by_role and own not in homes:
        raise DataError(
            f"{folder} has no images for {role.value}: it is laid out by role and "
            f"has no sub-folder '{role.value}'"
        )
    refs: list[ImageRef] = []
    skipped: list[str] = []
    for path, label in _labelled_files(own, _indices(classes)):
        name = path.relative_to(folder).as_posix()
        try:
            digest = file_sha256(path)
        except OSError as cause:
            if on_broken == "error":
                raise DataError(f"{path} cannot be read: {cause.strerror}") from cause
            skipped.append(f"{name}: {cause.strerror}")
            continue
        refs.append(ImageRef(name, digest, label, partial(load_image, path)))
    if not refs:
        raise DataError(
            f"{own} holds no images", hint=f"Looked for {', '.join(sorted(SUFFIXES))} files."
        )
    hashes = [ref.sha256 for ref in refs]
    mine = _by_content(refs, hashes) if by_role else split(refs, hashes, role)
    return ImageList(folder.name, mine, skipped=tuple(skipped))


def _homes(folder: Path) -> list[Path]:
    """The folders that hold images or class folders: one a role, or ``folder`` itself."""
    parts = _visible(folder, folders=True)
    by_role = bool(parts) and {part.name for part in parts} <= ROLE_NAMES and not _images(folder)
    return parts if by_role else [folder]


def _class_names(homes: list[Path]) -> list[str]:
    return sorted({part.name for home in homes for part in _visible(home, folders=True)})


def _by_content(refs: list[ImageRef], hashes: list[str]) -> tuple[ImageRef, ...]:
    """A fixed order that mixes the classes, so that the first few are a fair sample."""
    return tuple(ref for _, ref in sorted(zip(hashes, refs, strict=True), key=lambda p: p[0]))


def _indices(classes: list[str]) -> dict[str, int]:
    if classes and all(name.isascii() and name.isdigit() for name in classes):
        return {name: int(name) for name in classes}
    return {name: index for index, name in enumerate(classes)}


def _labelled_files(folder: Path, classes: dict[str, int]) -> list[tuple[Path, int | None]]:
    loose = _images(folder)
    kinds = _visible(folder, folders=True)
    if not kinds:
        return [(path, None) for path in loose]
    if loose:
        raise DataError(
            f"{folder} has images beside sub-folders ({loose[0].name}, {kinds[0].name}/)",
            hint="Put every image into its class's folder, or all of them in one flat folder.",
        )
    return [
        (path, classes[kind.name])
        for kind in kinds
        for path in sorted(kind.rglob("*"))
        if _is_image(path)
    ]


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible(folder, folders=False) if _is_image(path)]


def _visible(folder: Path, *, folders: bool) -> list[Path]:
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in entries if path.is_dir() == folders)


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir()
