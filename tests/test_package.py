"""What gets installed: wheel, wheel from the sdist, editable, each in a venv that has no more."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgekit.version import __version__

LEFT_OUT = {"build", "dist", "runs", "benchmarks", "docs"}


def setup_cfg(repository: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser()
    parsed.read(repository / "setup.cfg", encoding="utf-8")
    return parsed


def requirements(repository: Path) -> list[Requirement]:
    parsed = setup_cfg(repository)
    blocks = [parsed["options"]["install_requires"], *parsed["options.extras_require"].values()]
    return [Requirement(line) for block in blocks for line in block.split("\n") if line]


def locked(repository: Path) -> dict[str, Requirement]:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_every_package_is_listed(repository: Path) -> None:
    listed = setup_cfg(repository)["options"]["packages"].split()
    there = {
        ".".join(path.parent.relative_to(repository).parts)
        for path in (repository / "edgekit").rglob("__init__.py")
    }
    assert listed == sorted(there | {"edgekit._calibration", "edgekit._kotlin", "edgekit._recipes"})


def test_every_file_beside_the_code_is_shipped(repository: Path) -> None:
    patterns = setup_cfg(repository)["options.package_data"]["edgekit"].split()
    data = {
        path.relative_to(repository / "edgekit").as_posix()
        for path in (repository / "edgekit").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    shipped = {
        path.relative_to(repository / "edgekit").as_posix()
        for pattern in patterns
        for path in (repository / "edgekit").glob(pattern)
    }
    assert data == shipped


def test_the_metadata_promises_ranges_and_the_lock_is_inside_them(repository: Path) -> None:
    lock = locked(repository)
    for requirement in requirements(repository):
        assert not {"==", "==="} & {spec.operator for spec in requirement.specifier}
        if requirement.name != "edgekit":
            assert requirement.specifier
            (pin,) = lock[canonicalize_name(requirement.name)].specifier
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version)


def test_the_lock_holds_pins_and_nothing_of_this_machine(repository: Path) -> None:
    text = (repository / "constraints.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9.-]+==[A-Za-z0-9.]+", line), line


def test_pyproject_is_build_system_and_tools_only(repository: Path) -> None:
    with (repository / "pyproject.toml").open("rb") as stream:
        assert set(tomllib.load(stream)) == {"build-system", "tool"}


@dataclass(frozen=True)
class Installation:
    """An empty venv with edgekit's light requirements, and three ways to put edgekit into it."""

    bin: Path
    source: Path
    sdist: Path
    wheel: Path
    wheel_of_sdist: Path

    def pip(self, *arguments: str) -> None:
        run([str(self.bin / "python"), "-m", "pip", "-q", *arguments])


def run(command: list[str], cwd: Path | None = None) -> str:
    """stdout of a command that sees nothing of the repository or of this environment."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    env: Mapping[str, str] = {key: v for key, v in os.environ.items() if key not in hidden}
    child = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert child.returncode == 0, f"{command}\n{child.stdout}\n{child.stderr}"
    return child.stdout


def build(what: str, source: Path, into: Path, *options: str) -> Path:
    run([sys.executable, "-m", "build", f"--{what}", *options, "--outdir", str(into), str(source)])
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def installation(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for path in repository.iterdir():
        if path.name not in LEFT_OUT and not path.name.startswith("."):
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, source / path.name)
    sdist = build("sdist", source, folder / "sdist", "--no-isolation")
    shutil.unpack_archive(sdist, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    # One isolated build holds pyproject.toml to its word; the others save its time.
    wheel = build("wheel", source, folder / "wheel", "--no-isolation")
    wheel_of_sdist = build("wheel", unpacked, folder / "wheel_of_sdist")
    venv.create(folder / "venv", with_pip=True)
    found = Installation(folder / "venv" / "bin", source, sdist, wheel, wheel_of_sdist)
    light = setup_cfg(repository)["options"]["install_requires"].split()
    found.pip("install", "-c", str(repository / "constraints.txt"), *light)
    return found


def shipped(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("way", ["wheel", "wheel of the sdist", "editable"])
def test_an_empty_venv_finds_what_ships(
    way: str, installation: Installation, repository: Path, tmp_path: Path
) -> None:
    how = {
        "wheel": [str(installation.wheel)],
        "wheel of the sdist": [str(installation.wheel_of_sdist)],
        "editable": ["--editable", str(installation.source)],
    }
    installation.pip("install", "--no-deps", "--force-reinstall", *how[way])

    program = str(installation.bin / "edgekit")
    assert run([program, "--version"], tmp_path) == f"edgekit {__version__}\n"
    listed = json.loads(run([program, "recipes", "list", "--json"], tmp_path))
    expected = sorted(path.stem for path in (repository / "recipes").glob("*.yaml"))
    assert expected
    assert sorted(recipe["name"] for recipe in listed) == expected

    script = (
        "import json, edgekit.resources as r, importlib.metadata as m;"
        "print(json.dumps([{p.relative_to(r.shipped(f)).as_posix(): p.stat().st_size"
        " for p in r.shipped(f).rglob('*') if p.is_file()}"
        " for f in ('recipes', 'calibration')] + [r.__file__, m.metadata('edgekit')['Version']]))"
    )
    recipes, manifests, place, version = json.loads(
        run([str(installation.bin / "python"), "-c", script], tmp_path)
    )
    assert recipes == shipped(repository / "recipes")
    assert manifests == shipped(repository / "calibration")
    assert manifests
    assert version == __version__
    home = installation.source if way == "editable" else installation.bin.parent
    assert Path(place).is_relative_to(home)


@pytest.mark.network
def test_both_wheels_hold_the_same_and_the_licence(installation: Installation) -> None:
    with (
        zipfile.ZipFile(installation.wheel) as one,
        zipfile.ZipFile(installation.wheel_of_sdist) as other,
    ):
        names = one.namelist()
        assert sorted(names) == sorted(other.namelist())
    assert "edgekit/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("edgekit/", "edgekit-"))]


@pytest.mark.network
def test_doctor_in_an_empty_venv_names_the_way_out(
    installation: Installation, tmp_path: Path
) -> None:
    installation.pip("install", "--no-deps", "--force-reinstall", str(installation.wheel))
    child = subprocess.run(
        [str(installation.bin / "edgekit"), "doctor", "--json"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 4
    facts = {fact["name"]: fact for fact in json.loads(child.stdout)["packages"]}
    assert facts["torch"]["status"] == "missing"
    assert facts["numpy"]["status"] == "ok"
    assert "pip install 'edgekit[torch]'" in child.stderr
    assert "Traceback" not in child.stderr
