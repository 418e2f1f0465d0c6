"""Dataset manifests: the shipped one, and what is refused in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data.crops import CropRule
from edgekit.data.manifest import load_manifest, shipped_manifests
from edgekit.errors import DataError
from edgekit.types import Role

GOOD = f"""\
schema: 1
name: mine
crops:
  calibration: {{seed: 3, scale: [0.5, 1], ratio: [1, 1], count: 7}}
images:
  - source: a.png
    role: calibration
    licence: CC0
  - source: pypi://foolbox==3.3.4/x.jpg
    sha256: {"0" * 64}
    role: eval
    label: 4
    licence: not stated
    credit: somebody
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_shipped_manifest_is_whole_and_honest() -> None:
    manifest = load_manifest(shipped_manifests()["imagenet_photos"])
    by_role = {role: [i for i in manifest.images if i.role == role] for role in Role}
    assert {role.value: len(images) for role, images in by_role.items()} == {
        "calibration": 13,
        "dev": 4,
        "eval": 20,
    }
    for image in by_role[Role.EVAL]:
        assert image.source.path is not None
        assert image.label == int(image.source.path.rpartition("_")[2].removesuffix(".jpg"))
    assert len({image.sha256 for image in manifest.images}) == 37
    assert manifest.crops[Role.EVAL] == CropRule(1, (0.35, 1.0), (0.75, 1.3333))
    assert all(image.licence for image in manifest.images)


def test_good_manifest(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, GOOD))
    assert [image.id for image in manifest.images] == ["a.png", "foolbox:x.jpg"]
    assert manifest.images[1].label == 4
    assert manifest.crops == {Role.CALIBRATION: CropRule(3, (0.5, 1.0), (1.0, 1.0), 7)}
    assert manifest.base == tmp_path


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("schema: 1", "schema: 2", 1, "only version"),
        ("name: mine", "nam: mine", 2, "unknown key"),
        ("seed: 3", "seed: x", 4, "whole number"),
        ("seed: 3", "sead: 3", 4, "unknown key"),
        ("scale: [0.5, 1]", "scale: [0.5, 2]", 4, "larger than its image"),
        ("ratio: [1, 1]", "ratio: [2, 1]", 4, "low <= high"),
        ("calibration: {", "train: {", 4, "unknown key"),
        ("role: calibration", "role: train", 7, "not a role"),
        ("source: a.png", "source: ftp://x", 6, "unknown scheme"),
        ("/x.jpg", "", 9, "no file in it"),
        ("0" * 64, "0" * 63, 10, "64 lower-case"),
        (f"    sha256: {'0' * 64}\n", "", 9, "needs its sha256"),
        ("label: 4", "label: four", 12, "class index"),
        ("    licence: CC0\n", "", 6, "'licence' is missing"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, old: str, new: str, line: int, why: str) -> None:
    assert old in GOOD
    with pytest.raises(DataError, match=why) as caught:
        load_manifest(write(tmp_path, GOOD.replace(old, new)))
    assert caught.value.where is not None
    assert caught.value.where.file.endswith("mine.yaml")
    assert caught.value.where.line == line


def test_near_key_is_offered(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_manifest(write(tmp_path, GOOD.replace("licence: CC0", "license: CC0")))
    assert "licence" in str(caught.value.hint)


def test_roles_must_not_share_content(tmp_path: Path) -> None:
    twin = GOOD.replace("source: a.png", f"source: a.png\n    sha256: {'0' * 64}")
    with pytest.raises(DataError, match="already has the role calibration"):
        load_manifest(write(tmp_path, twin))
    same = GOOD.replace("pypi://foolbox==3.3.4/x.jpg", "a.png")
    with pytest.raises(DataError, match=r"same image as images\[0\]"):
        load_manifest(write(tmp_path, same))
