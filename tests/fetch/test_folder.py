"""Folders, by one hash for all that is in them: local ones, and out of packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.errors import FetchError, IntegrityError, UsageError
from edgekit.fetch import fetch_folder, tree_sha256
from tests.fetch.test_fetch import packed, sdist, wheel

FILES = {"net/saved_model.pb": b"graph", "net/variables/variables.index": b"i", "net/b c": b""}
SOURCE = "pypi://edgetest==1.0/edgetest/net"


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "net"


def packaged() -> dict[str, bytes]:
    return {f"edgetest/{name}": content for name, content in FILES.items()}


def test_the_hash_is_what_a_shell_prints(tmp_path: Path) -> None:
    command = (
        "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum"
    )
    assert command in (tree_sha256.__doc__ or "")
    for name, files in (("some", FILES), ("none", {})):
        folder = tmp_path / name
        folder.mkdir()
        write(folder, files)
        ran = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=True)
        assert ran.stdout.split()[0].decode() == tree_sha256(folder)


@pytest.mark.parametrize("change", ["content", "name", "one more"])
def test_the_hash_covers_names_and_contents(tmp_path: Path, change: str) -> None:
    folder = write(tmp_path)
    before = tree_sha256(folder)
    if change == "content":
        (folder / "b c").write_bytes(b"x")
    elif change == "name":
        (folder / "b c").rename(folder / "b d")
    else:
        (folder / "more").write_bytes(b"")
    assert tree_sha256(folder) != before


def test_a_local_folder(tmp_path: Path) -> None:
    folder = write(tmp_path)
    assert fetch_folder("net", sha256=tree_sha256(folder), base=tmp_path) == folder
    assert fetch_folder(f"file:{folder}", sha256=None) == folder
    with pytest.raises(IntegrityError, match=tree_sha256(folder)) as caught:
        fetch_folder(str(folder), sha256="0" * 64)
    assert "0" * 64 in caught.value.message
    with pytest.raises(UsageError, match=r"saved_model\.pb is a file; a folder is needed"):
        fetch_folder(str(folder / "saved_model.pb"), sha256=None)
    with pytest.raises(UsageError, match="no such file") as missing:
        fetch_folder(str(tmp_path / "nett"), sha256=None)
    assert missing.value.hint == "Near names there: net"


def test_a_folder_in_a_wheel_is_fetched_once(shop: Path, tmp_path: Path) -> None:
    made = wheel(shop, "edgetest", "1.0", packaged())
    promised = tree_sha256(write(tmp_path))
    folder = fetch_folder(SOURCE, sha256=promised)
    assert (folder / "variables" / "variables.index").read_bytes() == b"i"
    made.unlink()
    assert fetch_folder(SOURCE, sha256=promised) == folder
    (folder / "b c").write_bytes(b"x")
    with pytest.raises(FetchError):
        fetch_folder(SOURCE, sha256=promised)


def test_a_damaged_copy_is_fetched_again_and_a_wrong_promise_told(
    shop: Path, tmp_path: Path
) -> None:
    wheel(shop, "edgetest", "1.0", packaged())
    promised = tree_sha256(write(tmp_path))
    folder = fetch_folder(SOURCE, sha256=promised)
    (folder / "saved_model.pb").write_bytes(b"grapf")
    assert (fetch_folder(SOURCE, sha256=promised) / "saved_model.pb").read_bytes() == b"graph"
    with pytest.raises(IntegrityError, match=promised):
        fetch_folder(SOURCE, sha256="f" * 64)


def test_through_an_archive_and_out_of_an_sdist(shop: Path, tmp_path: Path) -> None:
    sdist(shop, {"data/net.tar.gz": packed(FILES), **FILES})
    for path in ("data/net.tar.gz/net", "net"):
        folder = fetch_folder(f"pypi://edgetest-src==1.0/{path}", sha256=None)
        assert tree_sha256(folder) == tree_sha256(write(tmp_path))


def test_what_is_not_there_or_no_folder(shop: Path) -> None:
    wheel(shop, "edgetest", "1.0", packaged())
    with pytest.raises(FetchError, match="holds no folder edgetest/nett") as caught:
        fetch_folder("pypi://edgetest==1.0/edgetest/nett", sha256=None)
    assert "edgetest/net" in str(caught.value.hint)
    with pytest.raises(UsageError, match="is a file; a folder is needed"):
        fetch_folder(f"{SOURCE}/saved_model.pb", sha256=None)
    with pytest.raises(UsageError, match="names a package but no folder in it"):
        fetch_folder("pypi://edgetest==1.0", sha256=None)


@pytest.mark.network
def test_a_saved_model_of_a_package_that_is_not_installed() -> None:
    folder = fetch_folder(
        "pypi://basic-pitch==0.4.0/basic_pitch/saved_models/icassp_2022/nmp",
        sha256="2eb9e66640f573f66a82104f5a8ca570f41177fb8b1b33bfa1fddc045547bc72",
    )
    assert (folder / "variables" / "variables.index").is_file()
