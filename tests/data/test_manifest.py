"""Dataset manifests: the shipped one, and what is refused in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data.crops import CropRule
from edgekit.data.exposure import ExposureRule
from edgekit.data.manifest import load_manifest, shipped_manifests
from edgekit.data.manifest_files import LabelRule, TableForm
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


IDX = f"""\
schema: 1
name: mine
idx:
  - images: {{source: a.gz}}
    labels: {{source: b.gz}}
    rows: {{calibration: [[0, 10], [20, 30]], dev: [10, 20]}}
    licence: MIT
    credit: somebody
  - images: {{source: deb://data=1.0/c.gz, sha256: {"1f" * 32}}}
    role: eval
    licence: MIT
"""

TEXTS = """\
schema: 1
name: mine
texts:
  - source: reviews.csv
    text_column: review
    label: {column: stars, above: 3}
    licence: MIT
  - source: more.tsv
    encoding: latin-1
    text_column: 2
    label: {column: 0, classes: [bad, good]}
    role: dev
    licence: MIT
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


def test_good_manifest_of_idx_files(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, IDX))
    assert manifest.images == manifest.texts == ()
    first, second = manifest.idx
    assert first.images.name == "a.gz"
    assert first.labels is not None
    assert first.labels.name == "b.gz"
    assert first.roles.spans == {Role.CALIBRATION: ((0, 10), (20, 30)), Role.DEV: ((10, 20),)}
    assert (first.licence, first.credit) == ("MIT", "somebody")
    assert second.labels is None
    assert second.images.sha256 == "1f" * 32
    assert second.roles.spans == {Role.EVAL: ((0, None),)}
    assert manifest.exposure is None


def test_an_exposure_beside_idx_files(tmp_path: Path) -> None:
    text = IDX.replace("idx:", "exposure: {stops: 2.5, seed: 7}\nidx:")
    assert load_manifest(write(tmp_path, text)).exposure == ExposureRule(2.5, 7)


def test_good_manifest_of_texts(tmp_path: Path) -> None:
    first, second = load_manifest(write(tmp_path, TEXTS)).texts
    assert first.form == TableForm(
        ",", True, "utf-8-sig", True, "review", LabelRule("stars", above=3)
    )
    assert first.roles.spans is None
    assert second.form == TableForm(
        "\t", False, "iso8859-1", False, 2, LabelRule(0, classes=("bad", "good"))
    )
    assert second.roles.spans == {Role.DEV: ((0, None),)}


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_every_shipped_manifest_pins_its_files(name: str) -> None:
    manifest = load_manifest(shipped_manifests()[name])
    assert manifest.name == name
    assert manifest.summary
    pinned = [item.sha256 for item in (*manifest.images, *manifest.audio)]
    pinned += [file.sha256 for item in manifest.idx for file in (item.images, item.labels) if file]
    pinned += [item.file.sha256 for item in manifest.texts]
    assert pinned
    assert None not in pinned


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "why"),
    [
        (GOOD, "images:", "idx: []\nimages:", 5, "a manifest with 'images' has no 'idx'"),
        (IDX, "idx:", "ids:", 3, "unknown key"),
        (IDX, "name: mine", "name: mine\ncrops: {}", 3, "only 'images' are cropped"),
        (TEXTS, "name: mine", "name: mine\ncrops: {}", 3, "only 'images' are cropped"),
        (IDX, "name: mine", "name: mine\nexposure: {seed: 0}", 3, "'stops' is missing"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: 4}", 3, "'seed' is missing"),
        (IDX, "name: mine", "name: mine\nexposure: 4", 3, "expected keys and values"),
        (IDX, "name: mine", "name: mine\nexposure: {stop: 4, seed: 0}", 3, "unknown key"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: 0, seed: 0}", 3, "above 0, 8 at most"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: 9, seed: 0}", 3, "above 0, 8 at most"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: .nan, seed: 0}", 3, "above 0"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: true, seed: 0}", 3, "above 0"),
        (IDX, "name: mine", "name: mine\nexposure: {stops: 4, seed: -1}", 3, "whole number"),
        (TEXTS, "name: mine", "name: mine\nexposure: {stops: 4, seed: 0}", 3, "only pictures of"),
        (IDX, "{source: a.gz}", "a.gz", 4, "expected keys and values"),
        (IDX, "{source: b.gz}", "{sourse: b.gz}", 5, "unknown key"),
        (IDX, f", sha256: {'1f' * 32}", "", 9, "needs its sha256"),
        (IDX, "1f" * 32, "1f" * 31, 9, "64 lower-case"),
        (IDX, "deb://data=1.0/c.gz", "deb://data=1.0", 9, "no file in it"),
        (IDX, "role: eval", "role: test", 10, "'test' is not a role"),
        (IDX, "role: eval", "role: eval\n    rows: {dev: [0, 1]}", 10, "not both"),
        (IDX, "dev: [10, 20]", "test: [10, 20]", 6, "unknown key"),
        (IDX, "dev: [10, 20]", "dev: [9, 20]", 6, "row 9 already is calibration"),
        (IDX, "dev: [10, 20]", "dev: [20, 10]", 6, "no row lies from 20 to before 10"),
        (IDX, "dev: [10, 20]", "dev: [10]", 6, "row after the last"),
        (IDX, "dev: [10, 20]", "dev: [-1, 5]", 6, "whole number"),
        (IDX, "dev: [10, 20]", "dev: 20", 6, "row after the last"),
        (IDX, "deb://data=1.0/c.gz", "a.gz", 9, r"the same file as idx\[0\]"),
        (IDX, "    role: eval\n    licence: MIT", "    role: eval", 9, "'licence' is missing"),
        (TEXTS, "text_column: review", "column: review", 5, "unknown key"),
        (TEXTS, "text_column: review", "text_column: -1", 5, "its number from 0"),
        (TEXTS, "text_column: review", "text_column: 1", 6, "name both columns"),
        (TEXTS, "above: 3", "above: '3'", 6, "expected a number"),
        (TEXTS, "above: 3", "above: 3, classes: [a]", 6, "'above' for numbers or 'classes'"),
        (TEXTS, "[bad, good]", "[bad, bad]", 11, "twice"),
        (TEXTS, "[bad, good]", "[bad, 1]", 11, "expected text"),
        (TEXTS, "[bad, good]", "bad", 11, "list of words"),
        (TEXTS, "encoding: latin-1", "encoding: latin-99", 9, "no text encoding"),
        (TEXTS, "encoding: latin-1", "encoding: base64", 9, "no text encoding"),
        (TEXTS, "encoding: latin-1", "delimiter: tab", 9, "expected one character"),
        (TEXTS, "encoding: latin-1", "quoted: maybe", 9, "true or false"),
    ],
)
def test_mistakes_in_files_of_rows_are_placed(
    tmp_path: Path, text: str, old: str, new: str, line: int, why: str
) -> None:
    assert old in text
    with pytest.raises(DataError, match=why) as caught:
        load_manifest(write(tmp_path, text.replace(old, new)))
    assert caught.value.where is not None
    assert caught.value.where.line == line


def test_a_manifest_that_lists_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one of images, audio, idx, texts"):
        load_manifest(write(tmp_path, "schema: 1\nname: mine\n"))
    with pytest.raises(DataError, match="at least one item"):
        load_manifest(write(tmp_path, "schema: 1\nname: mine\ntexts: []\n"))


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


def test_no_person_of_the_shipped_faces_has_two_roles() -> None:
    manifest = load_manifest(shipped_manifests()["faces"])
    assert len(manifest.images) == len({image.sha256 for image in manifest.images}) == 400
    people = {
        role: {str(i.source.path).split("/")[-2] for i in manifest.images if i.role is role}
        for role in Role
    }
    assert {role.value: len(found) for role, found in people.items()} == {
        "calibration": 14,
        "dev": 10,
        "eval": 16,
    }
    assert len(set.union(*people.values())) == 40
    assert set(manifest.crops) == set(Role)
