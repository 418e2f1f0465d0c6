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

``audio`` lists recordings (.wav, .flac, .ogg, .mp3) with the same keys as images.

Instead of these it may list array files (``idx``) or tables of texts (``texts``), whose rows
are the samples; ``manifest_files`` has their keys. Beside ``idx`` there may be::

    exposure: {stops: 4, seed: 0}    # every picture darkened by 0 to 4 stops, in every role
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.cache import file_sha256
from edgekit.data.crops import CropRule
from edgekit.data.dataset import ImageList, ImageRef
from edgekit.data.exposure import ExposureRule
from edgekit.data.images import load_image
from edgekit.data.manifest_check import Checker
from edgekit.data.manifest_files import IdxFiles, PinnedFile, TextFile, idx_files, text_file
from edgekit.errors import DataError
from edgekit.fetch import Source, fetch
from edgekit.progress import Progress, track
from edgekit.recipe.yaml_source import KeyPath, dotted, read_yaml
from edgekit.resources import shipped
from edgekit.types import Role

SCHEMA_VERSION = 1
SECTIONS = ("images", "audio", "idx", "texts")
MAX_STOPS = 8
"""Beyond these nothing is left of 8 bits."""


@dataclass(frozen=True)
class ManifestImage:
    """One image or recording of a manifest."""

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
    """A validated manifest; one section is not empty. Local sources
    are relative to ``base``."""

    name: str
    summary: str
    images: tuple[ManifestImage, ...]
    audio: tuple[ManifestImage, ...]
    idx: tuple[IdxFiles, ...]
    texts: tuple[TextFile, ...]
    crops: Mapping[Role, CropRule]
    exposure: ExposureRule | None
    base: Path


def shipped_manifests() -> dict[str, Path]:
    """Name to file of the manifests that come with edgekit."""
    return {path.stem: path for path in sorted(shipped("calibration").glob("*.yaml"))}


def list_images(manifest: Manifest, role: Role, progress: Progress) -> ImageList:
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
    check = Checker(read_yaml(path, error=DataError))
    root = check.mapping((), {"schema", "name"}, {"summary", "crops", "exposure", *SECTIONS})
    if root["schema"] != SCHEMA_VERSION or isinstance(root["schema"], bool):
        raise check.wrong(("schema",), f"expected {SCHEMA_VERSION}, the only version there is")
    section = _section(check, root)
    rows = [(section, index) for index in range(len(root[section]))]
    roles = {role.value for role in Role}
    crops = check.mapping(("crops",), set(), roles) if "crops" in root else {}
    files = tuple(_image(check, at) for at in rows) if section in ("images", "audio") else ()
    idx = tuple(idx_files(check, at) for at in rows) if section == "idx" else ()
    texts = tuple(text_file(check, at) for at in rows) if section == "texts" else ()
    _check_roles(check, section, files)
    _check_files(check, rows, [*(item.images for item in idx), *(item.file for item in texts)])
    return Manifest(
        name=check.text(("name",), root["name"]),
        summary=check.text(("summary",), root.get("summary", "")),
        images=files if section == "images" else (),
        audio=files if section == "audio" else (),
        idx=idx,
        texts=texts,
        crops={Role(role): _crop_rule(check, ("crops", role)) for role in crops},
        exposure=_exposure_rule(check) if "exposure" in root else None,
        base=path.parent,
    )


def _section(check: Checker, root: dict[str, Any]) -> str:
    """The one section that lists the data."""
    found = [name for name in SECTIONS if name in root]
    if not found:
        raise check.wrong((), f"lists no data: expected one of {', '.join(SECTIONS)}")
    if len(found) > 1:
        raise check.wrong((found[1],), f"a manifest with '{found[0]}' has no '{found[1]}'")
    if not isinstance(root[found[0]], list) or not root[found[0]]:
        raise check.wrong((found[0],), "expected a list with at least one item")
    if found[0] != "images" and "crops" in root:
        raise check.wrong(("crops",), f"only 'images' are cropped, '{found[0]}' are taken whole")
    if found[0] != "idx" and "exposure" in root:
        raise check.wrong(("exposure",), f"only pictures of 'idx' are darkened, not '{found[0]}'")
    return found[0]


def _image(check: Checker, at: KeyPath) -> ManifestImage:
    row = check.mapping(at, {"source", "role", "licence"}, {"sha256", "label", "credit"})
    source, sha256 = check.source(at, row)
    label, credit = row.get("label"), row.get("credit")
    if label is not None and (not isinstance(label, int) or isinstance(label, bool) or label < 0):
        raise check.wrong((*at, "label"), "expected a class index, 0 or more")
    return ManifestImage(
        source=source,
        sha256=sha256,
        role=check.role((*at, "role"), row["role"]),
        label=label,
        licence=check.text((*at, "licence"), row["licence"]),
        credit=None if credit is None else check.text((*at, "credit"), credit),
    )


def _check_roles(check: Checker, section: str, images: tuple[ManifestImage, ...]) -> None:
    """One name is one file, and one content has one role."""
    article, noun = ("an", "image") if section == "images" else ("a", "recording")
    seen: dict[str, int] = {}
    roles: dict[str, tuple[Role, int]] = {}
    for index, image in enumerate(images):
        if image.id in seen:
            same = f"the same {noun} as {section}[{seen[image.id]}]"
            raise check.wrong((section, index), same)
        seen[image.id] = index
        if image.sha256 is None:
            continue
        role, first = roles.setdefault(image.sha256, (image.role, index))
        if role != image.role:
            raise check.wrong(
                (section, index, "role"),
                f"this content already has the role {role.value} ({section}[{first}]); "
                f"roles must not share {article} {noun}",
            )


def _check_files(check: Checker, rows: Sequence[KeyPath], files: Sequence[PinnedFile]) -> None:
    """One file is listed once."""
    seen: dict[Source, KeyPath] = {}
    for at, file in zip(rows, files, strict=False):
        if file.source in seen:
            raise check.wrong(at, f"the same file as {dotted(seen[file.source])}")
        seen[file.source] = at


def _crop_rule(check: Checker, at: KeyPath) -> CropRule:
    row = check.mapping(at, {"seed", "scale", "ratio"}, {"count"})
    seed = check.whole((*at, "seed"), row["seed"])
    count = row.get("count")
    if count is not None:
        count = check.whole((*at, "count"), count, at_least=1)
    scale = check.interval((*at, "scale"), row["scale"])
    ratio = check.interval((*at, "ratio"), row["ratio"])
    if scale[1] > 1:
        raise check.wrong((*at, "scale"), "a crop cannot be larger than its image (1.0)")
    return CropRule(seed, scale, ratio, count)


def _exposure_rule(check: Checker) -> ExposureRule:
    at = ("exposure",)
    row = check.mapping(at, {"stops", "seed"}, set())
    stops = row["stops"]
    if not isinstance(stops, int | float) or isinstance(stops, bool) or not 0 < stops <= MAX_STOPS:
        raise check.wrong((*at, "stops"), f"expected a number above 0, {MAX_STOPS} at most")
    return ExposureRule(float(stops), check.whole((*at, "seed"), row["seed"]))
