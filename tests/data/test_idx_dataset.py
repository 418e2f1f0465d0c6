"""Datasets of IDX files: labels, roles, pixels, broken pairs; and Fashion-MNIST itself."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import check_representative, open_dataset
from edgekit.data.arrays import row_image
from edgekit.data.exposure import darken
from edgekit.data.idx import read_idx
from edgekit.data.idx_dataset import IdxDataset, pixels_of_row
from edgekit.data.preprocess import Preprocessor
from edgekit.errors import DataError, IntegrityError, UsageError
from edgekit.recipe.schema import CropSpec, InputSpec, PreprocessSpec, ResizeSpec
from edgekit.types import Role
from tests.idx_files import pictures, write_idx

GREY = PreprocessSpec(colour="GRAY", divisor=255.0, mean=(0.5,), std=(0.25,))
INPUT = InputSpec("image", (1, 1, 6, 5), layout="NCHW")

PAIRS = """\
schema: 1
name: mine
idx:
  - images: {source: train.gz}
    labels: {source: train-labels.gz}
    rows: {calibration: [[0, 20], [40, 60]], dev: [20, 40]}
    licence: mine
  - images: {source: test}
    labels: {source: test-labels}
    role: eval
    licence: mine
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """60 + 30 labelled pictures; two of the test set are in the training set, too."""
    train, test = pictures(60), pictures(30, seed=1)
    test[3], test[7] = train[5], train[25]
    write_idx(tmp_path / "train.gz", train)
    write_idx(tmp_path / "train-labels.gz", np.arange(60, dtype=np.uint8) % 4)
    write_idx(tmp_path / "test", test)
    write_idx(tmp_path / "test-labels", np.arange(30, dtype=np.uint8) % 3)
    (tmp_path / "mine.yaml").write_text(PAIRS)
    return tmp_path


def opened(home: Path, role: Role = Role.CALIBRATION, **changes: Any) -> IdxDataset:
    options: dict[str, Any] = {"preprocess": GREY, "inputs": (INPUT,), "samples": None}
    data = open_dataset(str(home / "mine.yaml"), role=role, **{**options, **changes})
    assert isinstance(data, IdxDataset)
    return data


def test_rows_labels_and_roles(home: Path) -> None:
    data = {role: opened(home, role) for role in Role}
    assert {role.value: len(found) for role, found in data.items()} == {
        "calibration": 39,
        "dev": 19,
        "eval": 30,
    }
    assert all(found.labelled for found in data.values())
    train, test = pictures(60), pictures(30, seed=1)
    for found in data.values():
        for index, sample in enumerate(found):
            name, row = sample.id.removesuffix("]").split("[")
            if sample.id not in ("test[3]", "test[7]"):
                pixels = (train if name == "train.gz" else test)[int(row)]
                assert np.array_equal(found.pixels(index)[:, :, 0], pixels)
            assert sample.label == int(row) % (4 if name == "train.gz" else 3)
            expected = (found.pixels(index)[None].astype(np.float64) / 255 - 0.5) / 0.25
            np.testing.assert_allclose(sample.feeds["image"], expected, atol=1e-6)
            assert sample.feeds["image"].shape == (1, 6, 5, 1)


def test_what_the_verdict_sees_is_left_out_elsewhere_and_counted(home: Path) -> None:
    calibration, evaluation = opened(home), opened(home, Role.EVAL)
    assert "train.gz[5]" not in calibration.images
    assert "test[3]" in evaluation.images
    assert not set(calibration.images.values()) & set(evaluation.images.values())
    findings = {finding.name: finding for finding in check_representative(calibration, evaluation)}
    assert set(findings) == {"data.repeated"}
    assert findings["data.repeated"].severity == "warning"
    assert "1 samples of mine" in findings["data.repeated"].message


def test_only_files_that_matter_are_read(home: Path) -> None:
    (home / "train.gz").unlink()
    assert len(opened(home, Role.EVAL)) == 30
    with pytest.raises(UsageError, match=r"train\.gz"):
        opened(home, Role.DEV)


def test_samples_is_a_fair_part(home: Path) -> None:
    some, every = opened(home, samples=8), opened(home)
    assert list(some.images) == list(every.images)[:8]
    assert sorted(Counter(sample.label for sample in some).values()) == [2, 2, 2, 2]
    assert len(opened(home, samples=1000)) == 39


def test_without_labels_and_split_by_content(home: Path) -> None:
    (home / "mine.yaml").write_text(
        "schema: 1\nname: m\nidx: [{images: {source: train.gz}, licence: mine}]\n"
    )
    data = {role: opened(home, role) for role in Role}
    assert [len(data[role]) for role in Role] == [30, 12, 18]
    assert not any(found.labelled for found in data.values())
    assert len({name for found in data.values() for name in found.images}) == 60


def test_equal_names_are_told_apart(home: Path) -> None:
    for folder in ("a", "b"):
        (home / folder).mkdir()
        write_idx(home / folder / "images", pictures(4, seed=ord(folder)))
    (home / "mine.yaml").write_text(
        "schema: 1\nname: m\nidx:\n"
        "- {images: {source: a/images}, role: eval, licence: mine}\n"
        "- {images: {source: b/images}, role: eval, licence: mine}\n"
    )
    names = set(opened(home, Role.EVAL).images)
    assert len(names) == 8
    assert "file:a/images[0]" in names


@pytest.mark.parametrize("size", [(6, 5), (6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize(
    "shape", [{}, {"resize": ResizeSpec(width=9, height=7)}, {"crop": CropSpec(3, 4)}]
)
def test_the_short_way_gives_what_the_image_gives(
    size: tuple[int, ...], colour: Any, shape: dict[str, Any]
) -> None:
    images = pictures(4, size=size)
    spec = PreprocessSpec(colour=colour, **shape)
    height, width = {"resize": (7, 9), "crop": (4, 3)}.get(next(iter(shape), ""), (6, 5))
    channels = 1 if colour == "GRAY" else 3
    preprocessor = Preprocessor(spec, InputSpec("x", (1, height, width, channels), layout="NHWC"))
    for row in range(4):
        expected = preprocessor.pixels(row_image(images, row))
        assert np.array_equal(pixels_of_row(images, row, preprocessor), expected)


def test_fingerprint_follows_everything(home: Path) -> None:
    base = opened(home)
    assert opened(home).fingerprint == base.fingerprint
    changed = [
        opened(home, samples=10),
        opened(home, Role.EVAL),
        opened(home, preprocess=replace(GREY, divisor=1.0)),
        opened(home, inputs=(replace(INPUT, name="other"),)),
    ]
    write_idx(home / "train-labels.gz", np.zeros(60, np.uint8))
    changed.append(opened(home))
    write_idx(home / "train.gz", pictures(60, seed=9))
    changed.append(opened(home))
    assert len({base.fingerprint, *(data.fingerprint for data in changed)}) == 7


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        ("train-labels.gz", np.zeros(59, np.uint8), "59 labels for 60 images"),
        ("train-labels.gz", pictures(60), r"train-labels\.gz holds uint8 \[60, 6, 5\]; labels"),
        ("train-labels.gz", np.zeros(60, np.float32), "labels are whole numbers"),
        ("train-labels.gz", np.full(60, -1, np.int8), "0 or more"),
        ("train.gz", np.zeros(60, np.uint8), r"train\.gz holds uint8 \[60\]; images"),
        ("train.gz", np.zeros((60, 6, 5), np.float32), "images are uint8"),
        ("train.gz", pictures(60, size=(6, 5, 2)), r"\[60, 6, 5, 2\]"),
        ("train.gz", pictures(50), "60 labels for 50 images"),
        ("train.gz", pictures(60, size=(7, 5)), r"train\.gz\[0\] gives \[7, 5, 1\]"),
    ],
)
def test_files_that_do_not_fit(home: Path, name: str, array: Any, why: str) -> None:
    write_idx(home / name, array)
    with pytest.raises(DataError, match=why):
        opened(home)


def test_a_cut_file_is_named(home: Path) -> None:
    (home / "train.gz").write_bytes((home / "train.gz").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"train\.gz ends early"):
        opened(home)


def test_fewer_rows_than_the_manifest_says(home: Path) -> None:
    write_idx(home / "train.gz", pictures(50))
    write_idx(home / "train-labels.gz", np.zeros(50, np.uint8))
    with pytest.raises(DataError, match=r"train\.gz has 50 rows.*calibration those from 40 to 60"):
        opened(home)


def test_a_role_without_rows(home: Path) -> None:
    (home / "mine.yaml").write_text(PAIRS.replace(", dev: [20, 40]", ""))
    with pytest.raises(DataError, match="mine has no image for dev"):
        opened(home, Role.DEV)


def test_content_is_held_to_its_hash(home: Path) -> None:
    text = PAIRS.replace("{source: train.gz}", f"{{source: train.gz, sha256: {'0' * 64}}}")
    (home / "mine.yaml").write_text(text)
    with pytest.raises(IntegrityError, match=r"train\.gz"):
        opened(home)


def test_ten_thousand_rows_open_in_a_second(tmp_path: Path) -> None:
    """In time of this process: others may keep the machine busy."""
    write_idx(tmp_path / "images.gz", np.tile(pictures(10_000), (1, 5, 6))[:, :28, :28])
    write_idx(tmp_path / "labels", np.arange(10_000, dtype=np.int32) % 10)
    (tmp_path / "mine.yaml").write_text(
        "schema: 1\nname: m\nidx:\n"
        "- {images: {source: images.gz}, labels: {source: labels}, role: calibration, licence: m}\n"
    )
    start = time.process_time()
    spec = InputSpec("image", (1, 1, 28, 28), layout="NCHW")
    data = opened(tmp_path, inputs=(spec,))
    assert time.process_time() - start < 1
    assert check_representative(data) == ()
    assert time.process_time() - start < 3


@pytest.mark.network
def test_fashion_mnist() -> None:
    spec = InputSpec("image", (1, 1, 28, 28), layout="NCHW")
    data = {
        role: open_dataset(
            "fashion_mnist", role=role, preprocess=GREY, inputs=(spec,), samples=None
        )
        for role in Role
    }
    assert [len(data[role]) for role in Role] == [50_000, 10_000, 10_000]
    assert [data[role].repeated for role in Role] == [0, 0, 0]
    contents = [set(data[role].images.values()) for role in Role]
    assert len(set().union(*contents)) == 70_000
    assert set(Counter(sample.label for sample in data[Role.EVAL]).values()) == {1000}
    first = Counter(sample.label for sample, _ in zip(data[Role.EVAL], range(400), strict=False))
    assert set(first.values()) == {40}
    assert first.keys() == set(range(10))


def test_pictures_are_darkened_by_their_content_whoever_reads_them(home: Path) -> None:
    bright = {role: opened(home, role) for role in Role}
    (home / "mine.yaml").write_text(f"{PAIRS}exposure: {{stops: 4, seed: 1}}\n")
    by_content: dict[str, float] = {}
    for role, plain in bright.items():
        dark = opened(home, role)
        assert dark.images == plain.images  # contents as they are in the file
        assert dark.fingerprint == opened(home, role).fingerprint != plain.fingerprint
        for index, sample in enumerate(dark):
            by = dark.stops_below(index)
            assert by == by_content.setdefault(dark.images[sample.id], by)
            pixels = dark.pixels(index)
            assert np.array_equal(pixels, darken(plain.pixels(index), by))
            expected = (pixels[None].astype(np.float64) / 255 - 0.5) / 0.25
            np.testing.assert_allclose(sample.feeds["image"], expected, atol=1e-6)
    assert len(set(by_content.values())) == len(by_content)
    assert [opened(home).stops_below(i) for i in range(3)] == list(by_content.values())[:3]
    (home / "mine.yaml").write_text(f"{PAIRS}exposure: {{stops: 4, seed: 2}}\n")
    assert opened(home).stops_below(0) != next(iter(by_content.values()))


@pytest.mark.parametrize("colour", ["RGB", "GRAY"])
def test_a_picture_is_darkened_before_it_is_resized(home: Path, colour: Any) -> None:
    spec = PreprocessSpec(colour=colour, resize=ResizeSpec(width=9, height=7))
    inputs = (InputSpec("x", (1, 7, 9, 1 if colour == "GRAY" else 3), layout="NHWC"),)
    (home / "mine.yaml").write_text(f"{PAIRS}exposure: {{stops: 4, seed: 1}}\n")
    data = opened(home, Role.EVAL, preprocess=spec, inputs=inputs)
    row = int(next(iter(data.images)).removesuffix("]").split("[")[1])
    dark = darken(read_idx(home / "test")[row : row + 1], data.stops_below(0))
    expected = Preprocessor(spec, inputs[0]).pixels(row_image(dark, 0))
    assert np.array_equal(data.pixels(0), expected)


def test_gzip_and_plain_give_the_same_dataset(home: Path) -> None:
    packed = opened(home)
    for name in ("train.gz", "train-labels.gz"):
        (home / name).write_bytes(gzip.decompress((home / name).read_bytes()))
    assert opened(home).fingerprint == packed.fingerprint
