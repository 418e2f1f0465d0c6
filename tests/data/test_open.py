"""Opening datasets: folders, manifests, arrays; roles, order, fingerprints, broken files."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data import image_dataset, open_dataset
from edgekit.data.dataset import Dataset, split
from edgekit.errors import DataError, IntegrityError, UsageError
from edgekit.recipe.schema import CropSpec, InputSpec, PreprocessSpec, ResizeSpec
from edgekit.types import Role

ARRAYS = PreprocessSpec(kind="arrays")


def manifest(tmp_path: Path, count: int, *, crops: bool = True, broken: int | None = None) -> str:
    rows = [
        f"  - {{source: {'gone.png' if i == broken else f'i{i}.png'}, role: calibration, "
        f"label: {i}, licence: CC0}}"
        for i in range(count)
    ]
    rule = "crops: {calibration: {seed: 5, scale: [0.35, 1], ratio: [0.75, 1.3333]}}"
    lines = ["schema: 1", "name: mine", *([rule] if crops else []), "images:", *rows]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    return str(tmp_path / "mine.yaml")


@pytest.fixture
def open_it(spec: PreprocessSpec, image_input: InputSpec) -> Any:
    def open_it(dataset: str | Path, **changes: Any) -> Dataset:
        options: dict[str, Any] = {
            "role": Role.CALIBRATION,
            "preprocess": spec,
            "inputs": (image_input,),
            "samples": None,
        }
        return open_dataset(str(dataset), **{**options, **changes})

    return open_it


def contents(dataset: Dataset) -> list[tuple[str, bytes]]:
    return [
        (sample.id, b"".join(np.asarray(v).tobytes() for v in sample.feeds.values()))
        for sample in dataset
    ]


# -- splitting ---------------------------------------------------------------------------------


@given(st.lists(st.text("0123456789abcdef", min_size=2, max_size=2), max_size=40))
def test_splits_are_disjoint_complete_and_by_content(hashes: list[str]) -> None:
    parts = {role: split(range(len(hashes)), hashes, role) for role in Role}
    assert sorted(i for part in parts.values() for i in part) == list(range(len(hashes)))
    contents = {role: {hashes[i] for i in part} for role, part in parts.items()}
    assert sum(map(len, contents.values())) == len(set(hashes))
    distinct = len(set(hashes))
    assert len(contents[Role.EVAL]) == (max(1, distinct * 3 // 10) if distinct > 1 else 0)
    assert bool(contents[Role.DEV]) == (distinct > 2)


def test_split_does_not_depend_on_order() -> None:
    hashes = [f"{i * 7919 % 101:02x}" for i in range(20)]
    forward = split(hashes, hashes, Role.EVAL)
    assert split(hashes[::-1], hashes[::-1], Role.EVAL) == forward


# -- folders -----------------------------------------------------------------------------------


def test_flat_folder(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    for i in range(10):
        make_image(f"photos/{i}.png", i)
    (tmp_path / "photos" / "README.txt").write_text("not an image")
    (tmp_path / "photos" / ".hidden.png").write_text("not an image")
    opened = {role: open_it(tmp_path / "photos", role=role) for role in Role}
    assert {role.value: len(data) for role, data in opened.items()} == {
        "calibration": 5,
        "dev": 2,
        "eval": 3,
    }
    names = [name for data in opened.values() for name in data.images]
    assert sorted(names) == [f"{i}.png" for i in range(10)]
    assert not opened[Role.EVAL].labelled
    assert opened[Role.EVAL].name == "photos"


def test_class_folders_give_labels(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    for i, kind in enumerate(("dog", "cat", "ant") * 4):
        make_image(f"pets/{kind}/{i}.png", i)
    data = [sample for role in Role for sample in open_it(tmp_path / "pets", role=role)]
    assert {sample.image_id.split("/")[0]: sample.label for sample in data} == {
        "ant": 0,
        "cat": 1,
        "dog": 2,
    }
    assert open_it(tmp_path / "pets").labelled


def test_numeric_class_folders_are_indices(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    make_image("n/7/a.png", 1)
    make_image("n/243/b.png", 2)
    labels = {
        s.label
        for role in (Role.CALIBRATION, Role.EVAL)
        for s in open_it(tmp_path / "n", role=role)
    }
    assert labels == {7, 243}


def test_role_folders_are_the_roles(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    make_image("r/calibration/cat/a.png", 1)
    make_image("r/eval/dog/b.png", 2)
    assert [s.image_id for s in open_it(tmp_path / "r")] == ["calibration/cat/a.png"]
    (sample,) = open_it(tmp_path / "r", role=Role.EVAL)
    assert (sample.image_id, sample.label) == ("eval/dog/b.png", 1)
    with pytest.raises(DataError, match="no sub-folder 'dev'"):
        open_it(tmp_path / "r", role=Role.DEV)


def test_images_beside_class_folders_are_refused(
    tmp_path: Path, make_image: Any, open_it: Any
) -> None:
    make_image("m/a.png", 1)
    make_image("m/cat/b.png", 2)
    with pytest.raises(DataError, match="beside sub-folders"):
        open_it(tmp_path / "m")


def test_empty_folder(tmp_path: Path, open_it: Any) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_it(tmp_path / "empty")


def test_broken_file_is_fatal_or_skipped_by_name(
    tmp_path: Path, make_image: Any, open_it: Any
) -> None:
    for i in range(6):
        make_image(f"p/calibration/{i}.png", i)
    (tmp_path / "p" / "calibration" / "3.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"3\.png"):
        open_it(tmp_path / "p")
    data = open_it(tmp_path / "p", on_broken="skip")
    assert sorted(data.images) == [f"calibration/{i}.png" for i in (0, 1, 2, 4, 5)]
    assert len(data.skipped) == 1
    assert data.skipped[0].startswith("calibration/3.png: ")


@pytest.mark.parametrize(("samples", "ids"), [(2, [1, 2]), (4, [1, 2, 1, 2])])
def test_others_take_the_place_of_the_broken(
    tmp_path: Path, make_image: Any, open_it: Any, samples: int, ids: list[int]
) -> None:
    (tmp_path / "i0.png").write_bytes(b"broken")
    make_image("i1.png", 1)
    make_image("i2.png", 2)
    data = open_it(manifest(tmp_path, 3), on_broken="skip", samples=samples)
    assert [s.image_id for s in data] == [f"i{i}.png" for i in ids]
    assert [name.partition(":")[0] for name in data.skipped] == ["i0.png"]


def test_all_broken_is_an_error(tmp_path: Path, open_it: Any) -> None:
    (tmp_path / "p" / "calibration").mkdir(parents=True)
    (tmp_path / "p" / "calibration" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="no image for calibration"):
        open_it(tmp_path / "p", on_broken="skip")


# -- manifests and crops -----------------------------------------------------------------------


def test_crops_go_round_the_images(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    for i in range(3):
        make_image(f"i{i}.png", i)
    data = open_it(manifest(tmp_path, 3), samples=8)
    samples = list(data)
    assert [s.image_id for s in samples] == [f"i{i % 3}.png" for i in range(8)]
    assert [s.label for s in samples] == [i % 3 for i in range(8)]
    assert len({s.id for s in samples}) == 8
    assert contents(data) == contents(data)
    assert contents(data) == contents(open_it(manifest(tmp_path, 3), samples=8))


def test_whole_images_where_they_suffice(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    for i in range(3):
        make_image(f"i{i}.png", i)
    path = manifest(tmp_path, 3)
    whole = ["i0.png", "i1.png", "i2.png"]
    assert [s.id for s in open_it(path)] == whole
    assert [s.id for s in open_it(path, samples=2)] == whole[:2]
    assert [s.id for s in open_it(path, samples=9, crops=False)] == whole
    assert [s.id for s in open_it(manifest(tmp_path, 3, crops=False), samples=9)] == whole


def test_a_crop_is_an_image_like_any_other(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    from PIL import Image

    make_image("i0.png", 0, (80, 60))
    data = open_it(manifest(tmp_path, 1), samples=2)
    sample = next(iter(data))
    box = tuple(int(n) for n in sample.id.partition("#")[2].split(","))
    Image.open(tmp_path / "i0.png").crop(box).save(tmp_path / "i1.png")  # type: ignore[arg-type]
    (tmp_path / "one").mkdir()
    (tmp_path / "i1.png").rename(tmp_path / "one" / "cut.png")
    (tmp_path / "one").rename(tmp_path / "calibration")
    (tmp_path / "solo").mkdir()
    (tmp_path / "calibration").rename(tmp_path / "solo" / "calibration")
    (cut,) = open_it(tmp_path / "solo")
    assert np.array_equal(cut.feeds["input"], sample.feeds["input"])


def test_pixels_are_where_the_tensor_comes_from(
    tmp_path: Path, make_image: Any, open_it: Any, spec: PreprocessSpec
) -> None:
    make_image("i0.png", 0)
    data = open_it(manifest(tmp_path, 1), samples=3)
    for index, sample in enumerate(data):
        pixels = data.pixels(index).astype(np.float64)
        expected = (pixels / 255 - np.array(spec.mean)) / np.array(spec.std)
        np.testing.assert_allclose(sample.feeds["input"][0], expected, atol=1e-5)
        assert sample.feeds["input"].shape == (1, 16, 16, 3)
    with pytest.raises(ValueError, match="read-only"):
        data.pixels(0)[0, 0, 0] = 1


def test_memory_bound_changes_nothing_but_time(
    tmp_path: Path, make_image: Any, open_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("i0.png", 0)
    make_image("i1.png", 1)
    kept = contents(open_it(manifest(tmp_path, 2), samples=6))
    monkeypatch.setattr(image_dataset, "PIXEL_CACHE_BYTES", 2 * 16 * 16 * 3)
    assert contents(open_it(manifest(tmp_path, 2), samples=6)) == kept


def test_fingerprint_follows_everything(
    tmp_path: Path, make_image: Any, open_it: Any, spec: PreprocessSpec, image_input: InputSpec
) -> None:
    for i in range(3):
        make_image(f"i{i}.png", i)
    path = manifest(tmp_path, 3)
    base = open_it(path, samples=6).fingerprint
    assert open_it(path, samples=6).fingerprint == base
    changed = [
        open_it(path, samples=7),
        open_it(path),
        open_it(path, samples=6, preprocess=replace(spec, divisor=254.0)),
        open_it(path, samples=6, preprocess=replace(spec, resize=ResizeSpec(shorter_side=19))),
        open_it(path, samples=6, inputs=(replace(image_input, name="other"),)),
    ]
    text = Path(path).read_text()
    Path(path).write_text(text.replace("seed: 5", "seed: 6"))
    changed.append(open_it(path, samples=6))
    Path(path).write_text(text.replace("label: 2", "label: 9"))
    changed.append(open_it(path, samples=6))
    Path(path).write_text(text)
    make_image("i1.png", 99)
    changed.append(open_it(path, samples=6))
    prints = [data.fingerprint for data in changed]
    assert len({base, *prints}) == len(prints) + 1


def test_missing_or_wrong_manifest_file(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    make_image("i0.png", 0)
    with pytest.raises(UsageError, match=r"gone\.png"):
        open_it(manifest(tmp_path, 2, broken=1))
    path = Path(manifest(tmp_path, 1))
    path.write_text(path.read_text().replace("role:", f"sha256: {'0' * 64}, role:"))
    with pytest.raises(IntegrityError, match=r"i0\.png"):
        open_it(path, on_broken="skip")


def test_no_image_of_the_role(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    make_image("i0.png", 0)
    with pytest.raises(DataError, match="no image for eval"):
        open_it(manifest(tmp_path, 1), role=Role.EVAL)


def test_too_small_image_is_named(tmp_path: Path, make_image: Any, open_it: Any) -> None:
    make_image("i0.png", 0, (10, 40))
    with pytest.raises(DataError, match=r"i0\.png.*10x40"):
        open_it(manifest(tmp_path, 1), preprocess=PreprocessSpec(crop=CropSpec(16, 16)))


# -- arrays ------------------------------------------------------------------------------------


def test_npz_feeds_several_inputs(tmp_path: Path) -> None:
    ids = np.arange(20, dtype=np.int32).reshape(10, 2)
    image = np.random.default_rng(0).normal(size=(10, 3, 4, 5))
    np.savez(tmp_path / "d.npz", ids=ids, image=image, labels=np.arange(10))
    inputs = (InputSpec("ids", (1, 2), "int32"), InputSpec("image", (1, 3, 4, 5), layout="NCHW"))
    data = open_dataset(
        str(tmp_path / "d.npz"), role=Role.CALIBRATION, preprocess=ARRAYS, inputs=inputs, samples=4
    )
    assert len(data) == 4
    for sample in data:
        row = sample.label
        assert sample.id == f"d.npz[{row}]"
        assert sample.feeds["ids"].tolist() == [ids[row].tolist()]
        assert sample.feeds["image"].dtype == np.float32
        expected = image[row].transpose(1, 2, 0)[None].astype(np.float32)
        assert np.array_equal(sample.feeds["image"], expected)
    with pytest.raises(UsageError, match="no pixels"):
        data.pixels(0)


def test_targets_come_with_their_rows(tmp_path: Path) -> None:
    x = np.arange(30, dtype=np.float32).reshape(10, 3)

    def opened(targets: Any) -> Any:
        np.savez(tmp_path / "d.npz", x=x, targets=targets)
        inputs = (InputSpec("x", (1, 3)),)
        return open_dataset(
            str(tmp_path / "d.npz"), role=Role.EVAL, preprocess=ARRAYS, inputs=inputs, samples=None
        )

    data = opened(x * 2)
    assert (data.labelled, data.targeted) == (False, True)
    for sample in data:
        assert sample.target.tolist() == (sample.feeds["x"][0] * 2).tolist()
    assert opened(x * 3).fingerprint != data.fingerprint == opened(x * 2).fingerprint


def test_a_mapped_file_is_sent_to_another_process_by_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.random.default_rng(0).normal(size=(500, 300)))
    data = open_dataset(
        str(tmp_path / "d.npy"),
        role=Role.EVAL,
        preprocess=ARRAYS,
        inputs=(InputSpec("x", (1, 300)),),
        samples=None,
    )
    sent = pickle.dumps(data)
    assert len(sent) < 200_000
    for one, other in zip(data, pickle.loads(sent), strict=True):
        assert one.id == other.id
        assert np.array_equal(one.feeds["x"], other.feeds["x"])


def test_lazy_images_are_decoded_when_they_are_asked_for(tmp_path: Path, make_image: Any) -> None:
    for number in range(3):
        make_image(f"p/eval/{number}.png", number, (16, 16))
    (tmp_path / "p" / "eval" / "broken.png").write_bytes(b"nothing")
    data = open_dataset(
        str(tmp_path / "p"),
        role=Role.EVAL,
        preprocess=PreprocessSpec(),
        inputs=(InputSpec("image", (1, 16, 16, 3), layout="NHWC"),),
        samples=None,
        lazy=True,
    )
    assert len(data) == 4
    whole = [place for place, name in enumerate(data.images) if "broken" not in name]
    assert all(data.sample(place).feeds["image"].shape == (1, 16, 16, 3) for place in whole)
    (broken,) = set(range(4)) - set(whole)
    with pytest.raises(DataError, match=r"broken\.png"):
        data.sample(broken)


def test_array_roles_are_disjoint(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32))
    parts = [
        open_dataset(
            str(tmp_path / "d.npy"),
            role=role,
            preprocess=ARRAYS,
            inputs=(InputSpec("x", (1, 3)),),
            samples=None,
        )
        for role in Role
    ]
    assert [len(part) for part in parts] == [5, 2, 3]
    assert len({name for part in parts for name in part.images}) == 10
    assert len({part.fingerprint for part in parts}) == 3


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"y": np.zeros((4, 3), np.float32)}, r"arrays \['y'\].*inputs are \['x'\]"),
        ({"x": np.zeros((4, 2), np.float32)}, r"\[4, 2\].*\[1, 3\]"),
        ({"x": np.zeros((4, 3), "U1")}, "but the model takes float32"),
        ({"x": np.zeros((0, 3), np.float32)}, "rows"),
        ({"x": np.zeros((4, 3), np.float32), "labels": np.zeros(3, int)}, "labels"),
        ({"x": np.zeros((4, 3), np.float32), "labels": np.zeros(4)}, "whole numbers"),
        ({"x": np.zeros((4, 3), np.float32), "targets": np.zeros(3)}, "numbers for 4 rows"),
        ({"x": np.zeros((4, 3), np.float32), "targets": np.array(["a"] * 4)}, "must be numbers"),
        ({"x": np.zeros((4, 3), np.float32), "targets": [0, 1, np.nan, 3]}, "of row 2 holds NaN"),
        ({"x": np.array([[{}] * 3] * 4)}, "cannot be read"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], why: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=why):
        open_dataset(
            str(tmp_path / "d.npz"),
            role=Role.CALIBRATION,
            preprocess=ARRAYS,
            inputs=(InputSpec("x", (1, 3)),),
            samples=None,
        )


@pytest.mark.parametrize("name", ["d.npy", "d.npz"])
def test_damaged_array_file(tmp_path: Path, name: str, open_it: Any) -> None:
    np.savez(tmp_path / "whole.npz", x=np.zeros((100, 100)))
    (tmp_path / name).write_bytes((tmp_path / "whole.npz").read_bytes()[:500])
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        open_it(tmp_path / name)


def test_npy_under_another_name(tmp_path: Path, open_it: Any) -> None:
    np.save(tmp_path / "d.npy", np.zeros((4, 3)))
    (tmp_path / "d.npy").rename(tmp_path / "d.npz")
    with pytest.raises(DataError, match="another name"):
        open_it(tmp_path / "d.npz")


def test_array_images(tmp_path: Path, open_it: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 20, 24, 3), np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(10))
    plain = PreprocessSpec(crop=CropSpec(16, 16))
    data = open_it(tmp_path / "d.npz", preprocess=plain)
    for index, sample in enumerate(data):
        assert np.array_equal(data.pixels(index), images[sample.label][2:18, 4:20])
    np.save(tmp_path / "f.npy", images.astype(np.float32))
    with pytest.raises(DataError, match="uint8"):
        open_it(tmp_path / "f.npy")


# -- naming ------------------------------------------------------------------------------------


def test_unknown_names(tmp_path: Path, open_it: Any) -> None:
    with pytest.raises(DataError, match="no dataset 'imagenet_fotos'") as caught:
        open_it("imagenet_fotos", base=tmp_path)
    assert "imagenet_photos" in str(caught.value.hint)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="not a dataset"):
        open_it("notes.txt", base=tmp_path)


def test_kinds_that_do_not_fit(tmp_path: Path, open_it: Any, image_input: InputSpec) -> None:
    with pytest.raises(UsageError, match=r"not an \.npy or \.npz"):
        open_it(tmp_path, preprocess=ARRAYS)
    with pytest.raises(UsageError, match="fill one input"):
        open_it(tmp_path, inputs=(image_input, image_input))
