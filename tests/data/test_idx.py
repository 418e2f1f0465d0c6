"""The IDX reader: whatever numpy can hold comes back, whatever is damaged is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.data.idx import read_idx
from edgekit.errors import DataError
from tests.idx_files import TYPES, idx_bytes, pictures, write_idx

ARRAYS = st.sampled_from(sorted(TYPES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(max_dims=4, max_side=5))
)


@given(array=ARRAYS, packed=st.booleans())
def test_what_was_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, packed: bool
) -> None:
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if packed else "a")
    found = read_idx(write_idx(path, array))
    assert found.dtype.name == array.dtype.name
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(gzip.compress(idx_bytes(pictures(3))))
    assert np.array_equal(read_idx(tmp_path / "images"), pictures(3))


def test_a_plain_file_stays_on_disk(tmp_path: Path) -> None:
    assert isinstance(read_idx(write_idx(tmp_path / "a", pictures(3))), np.memmap)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: it starts with 89 50 4e 47"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x07\x03" + bytes(12), "not an IDX file"),
        (b"\0\0\x08\x09" + bytes(36), "not an IDX file"),
        (b"\0\0\x08\x03\0\0\0", "its header is cut off"),
        (idx_bytes(pictures(0)), r"empty: its header says \[0, 6, 5\]"),
        (idx_bytes(pictures(3), (4, 6, 5)), r"ends early: .*\[4, 6, 5\], which are 120 bytes"),
        (idx_bytes(pictures(3), (2, 6, 5)), "goes on after its end"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, content: bytes, why: str, packed: bool) -> None:
    (tmp_path / "bad").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=why) as caught:
        read_idx(tmp_path / "bad")
    assert str(tmp_path / "bad") in caught.value.message


def test_a_cut_gzip_file(tmp_path: Path) -> None:
    whole = write_idx(tmp_path / "a.gz", pictures(500)).read_bytes()
    for cut in (3, 12, len(whole) // 2, len(whole) - 4):
        (tmp_path / "cut.gz").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"cut\.gz (ends early|cannot be read)"):
            read_idx(tmp_path / "cut.gz")


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    content = bytearray(write_idx(tmp_path / "a.gz", pictures(500)).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gz cannot be read"):
        read_idx(tmp_path / "a.gz")


def test_a_header_that_promises_the_world_costs_nothing(tmp_path: Path) -> None:
    huge = idx_bytes(pictures(1), (1 << 31, 1 << 31, 1 << 31))
    (tmp_path / "a.gz").write_bytes(gzip.compress(huge))
    with pytest.raises(DataError, match="too many to unpack into memory"):
        read_idx(tmp_path / "a.gz")
    (tmp_path / "a").write_bytes(huge)
    with pytest.raises(DataError, match="ends early"):
        read_idx(tmp_path / "a")
    (tmp_path / "b.gz").write_bytes(gzip.compress(idx_bytes(pictures(1), (1 << 30, 1, 1))))
    with pytest.raises(DataError, match="ends early"):
        read_idx(tmp_path / "b.gz")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "gone")
    with pytest.raises(DataError, match="Is a directory"):
        read_idx(tmp_path)
