"""Decoding: EXIF, grey, alpha, 16 bits, palettes, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.images import load_image
from edgekit.errors import DataError


def pixels(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    wide = np.zeros((2, 3, 3), np.uint8)
    wide[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to view
    Image.fromarray(wide).save(tmp_path / "turned.png", exif=exif)
    array = pixels(tmp_path / "turned.png")
    assert array.shape == (3, 2, 3)
    assert array[0, 1].tolist() == [255, 0, 0]


def test_grey_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(np.array([[7, 200]], np.uint8)).save(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey.png").tolist() == [[[7, 7, 7], [200, 200, 200]]]


def test_sixteen_bits_keep_the_high_byte(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 0x1234, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert pixels(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]


def test_alpha_is_dropped_not_composited(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[9, 8, 7, 0], [1, 2, 3, 255]]], np.uint8)).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").tolist() == [[[9, 8, 7], [1, 2, 3]]]


def test_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    assert pixels(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_floats_and_wide_integers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.ones((2, 2), np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        with pytest.raises(DataError, match=rf"{name}.*no agreed range"):
            load_image(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]
)
def test_broken_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        load_image(tmp_path / "broken.png")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png.*No such file"):
        load_image(tmp_path / "gone.png")


def test_truncated_jpeg_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.jpg.*truncated"):
        load_image(tmp_path / "cut.jpg")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["png", "jpg", "gif", "tif", "webp", "bmp"]))
def test_damage_gives_an_image_or_a_data_error(
    tmp_path: Path, data: st.DataObject, kind: str
) -> None:
    path = tmp_path / f"x.{kind}"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    complaint = path.name
    try:
        load_image(path).tobytes()
    except DataError as error:
        complaint = error.message
    assert path.name in complaint
