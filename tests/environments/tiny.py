"""A lock of one small package, which pip takes from a folder, without a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from edgekit.environments import ENVIRONMENTS, EnvironmentSpec

NAME = "tiny"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(folder: Path, name: str = "ek_tiny", version: str = "1.0", code: str = "x = 1\n") -> None:
    """Write a wheel that holds one module called like itself, and a program."""
    import base64
    import hashlib

    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code + "def main():\n    print('hello', __name__)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def register(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    lock: str = "ek_tiny==1.0",
    *,
    imports: tuple[str, ...] = ("ek_tiny",),
    pythons: tuple[str, ...] = (OWN,),
) -> EnvironmentSpec:
    """Make ``tiny`` an environment whose packages pip finds in ``folder``."""
    file = folder / "lock.txt"
    file.write_text(f"# a lock\n{lock}\n")
    spec = EnvironmentSpec(NAME, "a tiny tool 1.0", file, pythons, imports, (), 10_000_000)
    monkeypatch.setitem(ENVIRONMENTS, NAME, spec)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return spec
