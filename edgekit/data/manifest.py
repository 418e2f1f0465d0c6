"""A dataset manifest: which images, from where, under which licence, for which role.

::

    schema: 1
    name: imagenet_photos
    summary: one line
    crops:                       # optional, per role
      calibration: {seed: 0, scale: [0.35, 1.0], ratio: [0.75, 1.3333], count: 100}
    images:
      - source: pypi://foolbox==3.3.4/foolbox/data/imagenet_00_243.jpg
        sha256: 28b7...          # may be left out for local files only
        role: eval
        label: 243               # optional class index
        licence: not stated
        credit: who made it      # optional
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.data.crops import CropRule
from edgekit.data.dataset import ImageList, ImageRef
from edgekit.data.images import load_image
from edgekit.errors import DataError, UsageError
from edgekit.fetch import Source, fetch, parse_source
from edgekit.progress import Progress, track
from edgekit.recipe.yaml_source import Document, KeyPath, read_yaml
from edgekit.resources import shipped
from edgekit.types import Role

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ManifestImage:
    """One image of a manifest."""

    source: Source
    sha256: str | None
    role: Role
    label: int | None
    licence: str
    credit: str | None

    @property
    def id(self) -> str:
        """Name in messages and reports: package and path, or the local path."""
        path = self.source.path
        return str(path) if self.source.scheme == "file" else f"{self.source.name}:{path}"


@dataclass(frozen=True)
class Manifest:
    """A validated manifest. Local sources are relative to ``base``."""

    name: str
    summary: str
    images: tuple[ManifestImage, ...]
    crops: Mapping[Role, CropRule]
    base: Path


def shipped_manifests() -> dict[str, Path]:
    """Name to file of the manifests that come with edgekit."""
    return {path.stem: path for path in sorted(shipped("calibration").glob("*.yaml"))}


def list_manifest(manifest: Manifest, role: Role, progress: Progress) -> ImageList:
    """Fetch the images of ``role``, each held to its sha256.

    Raises:
        FetchError, IntegrityError, UsageError: as ``fetch.fetch``.
    """
    mine = [image for image in manifest.images if image.role == role]
    refs = []
    with progress.task(f"Getting the {role.value} images of {manifest.name}", len(mine)) as task:
        for image in track(mine, task):
            path = fetch(image.source, sha256=image.sha256, base=manifest.base, progress=progress)
            digest = image.sha256 or file_sha256(path)
            refs.append(ImageRef(image.id, digest, image.label, partial(load_image, path)))
    return ImageList(manifest.name, tuple(refs), manifest.crops.get(role))


def load_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Raises:
        DataError: with file, line and key.
    """
    document = read_yaml(path, error=DataError)
    check = _Checker(document)
    root = check.mapping((), {"schema", "name", "images"}, {"summary", "crops"})
    if root["schema"] != SCHEMA_VERSION or isinstance(root["schema"], bool):
        raise check.wrong(("schema",), f"expected {SCHEMA_VERSION}, the only version there is")
    roles = {role.value for role in Role}
    crops = check.mapping(("crops",), set(), roles) if "crops" in root else {}
    rows = root["images"]
    if not isinstance(rows, list) or not rows:
        raise check.wrong(("images",), "expected a list with at least one image")
    images = tuple(_image(check, ("images", index)) for index in range(len(rows)))
    _check_roles(check, images)
    return Manifest(
        name=check.text(("name",), root["name"]),
        summary=check.text(("summary",), root.get("summary", "")),
        images=images,
        crops={Role(role): _crop_rule(check, ("crops", role)) for role in crops},
        base=path.parent,
    )


def _image(check: _Checker, at: KeyPath) -> ManifestImage:
    row = check.mapping(at, {"source", "role", "licence"}, {"sha256", "label", "credit"})
    try:
        source = parse_source(check.text((*at, "source"), row["source"]))
    except UsageError as cause:
        raise check.wrong((*at, "source"), cause.message, cause.hint) from cause
    if source.path is None:
        raise check.wrong((*at, "source"), "names a package but no file in it")
    sha256 = row.get("sha256")
    if sha256 is None and source.scheme != "file":
        raise check.wrong(at, "an image from a registry needs its sha256")
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", str(sha256)):
        raise check.wrong((*at, "sha256"), "expected 64 lower-case hexadecimal digits")
    role = row["role"]
    if role not in {known.value for known in Role}:
        known = ", ".join(known.value for known in Role)
        raise check.wrong((*at, "role"), f"'{role}' is not a role; expected one of {known}")
    label = row.get("label")
    if label is not None and (not isinstance(label, int) or isinstance(label, bool) or label < 0):
        raise check.wrong((*at, "label"), "expected a class index, 0 or more")
    credit = row.get("credit")
    return ManifestImage(
        source=source,
        sha256=sha256,
        role=Role(role),
        label=label,
        licence=check.text((*at, "licence"), row["licence"]),
        credit=None if credit is None else check.text((*at, "credit"), credit),
    )


def _check_roles(check: _Checker, images: tuple[ManifestImage, ...]) -> None:
    """One name is one image, and one content has one role."""
    seen: dict[str, int] = {}
    roles: dict[str, tuple[Role, int]] = {}
    for index, image in enumerate(images):
        if image.id in seen:
            raise check.wrong(("images", index), f"the same image as images[{seen[image.id]}]")
        seen[image.id] = index
        if image.sha256 is None:
            continue
        role, first = roles.setdefault(image.sha256, (image.role, index))
        if role != image.role:
            raise check.wrong(
                ("images", index, "role"),
                f"this content already has the role {role.value} (images[{first}]); "
                "roles must not share an image",
            )


def _crop_rule(check: _Checker, at: KeyPath) -> CropRule:
    row = check.mapping(at, {"seed", "scale", "ratio"}, {"count"})
    count = row.get("count")
    for key, value in (("seed", row["seed"]), ("count", 1 if count is None else count)):
        if not isinstance(value, int) or isinstance(value, bool) or value < (key == "count"):
            raise check.wrong((*at, key), "expected a whole number")
    scale = check.interval((*at, "scale"), row["scale"])
    ratio = check.interval((*at, "ratio"), row["ratio"])
    if scale[1] > 1:
        raise check.wrong((*at, "scale"), "a crop cannot be larger than its image (1.0)")
    return CropRule(row["seed"], scale, ratio, count)


class _Checker:
    """Errors with the place in the file."""

    def __init__(self, document: Document):
        self._document = document

    def wrong(self, at: KeyPath, message: str, hint: str | None = None) -> DataError:
        return DataError(message, hint=hint, where=self._document.where(at))

    def mapping(self, at: KeyPath, needed: set[str], optional: set[str]) -> dict[str, Any]:
        value = self._document.value
        for part in at:
            value = value[part]
        if not isinstance(value, dict):
            raise self.wrong(at, "expected keys and values")
        for key in value:
            if key not in needed | optional:
                near = difflib.get_close_matches(key, needed | optional, n=1)
                meant = f"did you mean '{near[0]}'?" if near else None
                known = ", ".join(sorted(needed | optional))
                raise self.wrong((*at, key), "unknown key", meant or f"Known keys: {known}")
        if missing := sorted(needed - set(value)):
            raise self.wrong(at, f"'{missing[0]}' is missing")
        return value

    def text(self, at: KeyPath, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(at, "expected text")
        return value

    def interval(self, at: KeyPath, value: Any) -> tuple[float, float]:
        numbers = isinstance(value, list) and all(
            isinstance(end, int | float) and not isinstance(end, bool) for end in value
        )
        if not numbers or len(value) != 2 or not 0 < value[0] <= value[1] < math.inf:
            raise self.wrong(at, "expected [low, high] with 0 < low <= high")
        return float(value[0]), float(value[1])
