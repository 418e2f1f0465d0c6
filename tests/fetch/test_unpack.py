"""Unpacking archives that mean harm."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgekit.errors import FetchError
from edgekit.fetch.unpack import unpack


def tar_of(path: Path, *members: tuple[str, bytes | None, str | None]) -> Path:
    """Members are (name, content, symlink target)."""
    with tarfile.open(path, "w:gz") as bundle:
        for name, content, target in members:
            info = tarfile.TarInfo(name)
            if target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, target
            info.size = len(content or b"")
            bundle.addfile(info, io.BytesIO(content or b""))
    return path


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members:
            bundle.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    return folder


def outside(folder: Path) -> list[Path]:
    root = folder.parents[1]
    return [p for p in root.rglob("*") if p.is_file() and folder not in p.parents and p.name != "a"]


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/evil", "x\\..\\evil"])
def test_names_that_leave_the_folder_condemn_the_archive(
    tmp_path: Path, folder: Path, name: str
) -> None:
    for archive in (
        tar_of(tmp_path / "a", (name, b"evil", None)),
        zip_of(tmp_path / "a", (name, b"evil")),
    ):
        with pytest.raises(FetchError, match="not safe"):
            unpack(archive, folder)
        assert outside(folder) == []


def test_links_never_lead_outside(tmp_path: Path, folder: Path) -> None:
    (folder.parent / "secret").write_text("secret")
    archive = tar_of(
        tmp_path / "a",
        ("real.txt", b"real", None),
        ("inside", None, "real.txt"),
        ("chain", None, "inside"),
        ("sub/up", None, "../real.txt"),
        ("out", None, "../secret"),
        ("abs", None, str(folder.parent / "secret")),
        ("loop", None, "loop"),
        ("dir", None, ".."),
        ("dir/evil", b"evil", None),
    )
    unpack(archive, folder)
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    } == {
        "real.txt": b"real",
        "inside": b"real",
        "chain": b"real",
        "sub/up": b"real",
        "dir/evil": b"evil",
    }
    assert [p.name for p in outside(folder)] == ["secret"]


def test_zip_links_become_copies(tmp_path: Path, folder: Path) -> None:
    archive = zip_of(tmp_path / "a", ("real", b"real"))
    with zipfile.ZipFile(archive, "a") as bundle:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(link, "real")
    unpack(archive, folder)
    assert (folder / "link").read_bytes() == b"real"
    assert not (folder / "link").is_symlink()


def test_strip_takes_leading_folders_off(tmp_path: Path, folder: Path) -> None:
    archive = tar_of(tmp_path / "a", ("pkg-1.0/x/y", b"1", None), ("top", b"2", None))
    unpack(archive, folder, strip=1)
    assert (folder / "x" / "y").read_bytes() == b"1"
    assert not (folder / "top").exists()


@pytest.mark.parametrize("kind", ["text", "zip", "tar"])
def test_damaged_archives_are_named(tmp_path: Path, folder: Path, kind: str) -> None:
    archive = tmp_path / "a"
    if kind == "text":
        archive.write_text("not an archive")
    elif kind == "zip":
        data = bytearray(zip_of(archive, ("x", b"x" * 1000)).read_bytes())
        data[100] ^= 1
        archive.write_bytes(data)
    else:
        whole = tar_of(archive, ("x", bytes(range(256)) * 40, None)).read_bytes()
        archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FetchError, match="a cannot be unpacked"):
        unpack(archive, folder)


def test_file_and_folder_of_one_name(tmp_path: Path, folder: Path) -> None:
    archive = tar_of(tmp_path / "a", ("x", b"1", None), ("x/y", b"2", None))
    with pytest.raises(FetchError, match="both a file and a folder"):
        unpack(archive, folder)
