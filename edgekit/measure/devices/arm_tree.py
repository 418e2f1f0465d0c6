"""A small arm64 Debian with LiteRT in it, and the qemu that runs its programs: no root, no phone.

Packages come by apt-get, which gets an arm64 state of its own in the tree, and by pip; nothing is
installed. What was found to matter:

- ``-cpu cortex-a76``: exact with Debian 12's qemu 7.2, whose ``-cpu max`` computes INT8 wrongly;
- LiteRT reads /proc/cpuinfo and the caches in /sys, and crashes on those of an x86 machine: the
  tree has Arm's, of that very core.
"""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path

from edgekit.cache import Cache, content_key
from edgekit.fetch.clients import deb_contents, find, run_client
from edgekit.fetch.unpack import unpack
from edgekit.progress import Progress

CPU = "cortex-a76"
PACKAGES = (
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "libgomp1",
    "zlib1g",
    "libexpat1",
    "libffi8",
    "libssl3",
    "libbz2-1.0",
    "liblzma5",
    "libsqlite3-0",
    "libuuid1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-minimal",
)
_REVISION = 1
"""Of this recipe of a tree; another one is made when it changes."""
_QEMU = "qemu-aarch64-static"
_PYTHON = f"""#!/bin/sh
here=$(dirname "$0")
exec "$here/{_QEMU}" -cpu {CPU} -L "$here/root" "$here/root/usr/bin/python3.11" "$@"
"""
_CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc \
dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
# Arm, Cortex-A76 Technical Reference Manual: 64 KB each of L1, and 512 KB of L2 in the larger form.
_CACHES = (("1", "64K", "Data"), ("1", "64K", "Instruction"), ("2", "512K", "Unified"))
# The worker that tflite-runtime has, with LiteRT in its part.
_SHIM = """\
from ai_edge_litert.interpreter import Interpreter as _Interpreter


class Interpreter(_Interpreter):
    def __init__(self, path, num_threads):
        super().__init__(path, num_threads=num_threads)
"""


def arm_python(cache: Cache, progress: Progress) -> Path:
    """The program that is a Python on that Arm core; made on first use, about 100 MB to fetch.

    Raises:
        FetchError: apt-get, dpkg-deb or pip is missing, or cannot get a package.
    """
    versions = {name: metadata.version(name) for name in ("ai-edge-litert", "numpy")}

    def make(folder: Path) -> None:
        with progress.task("Making an arm64 tree for qemu (once, about 100 MB to fetch)"):
            _fetch_debian(folder)
            _fetch_wheels(folder, versions)
            _write_own(folder, versions["ai-edge-litert"])

    key = content_key({"versions": versions, "packages": PACKAGES, "revision": _REVISION})
    return cache.get_or_make("qemu-aarch64", key, make, check="size").path / "python"


def _fetch_debian(folder: Path) -> None:
    inbox, state = folder / "inbox", folder / "apt"
    for each in (inbox, state / "lists/partial", state / "cache/archives/partial"):
        each.mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Acquire::Languages": "none",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
    }
    apt = [find("apt-get"), *(f"-o{name}={value}" for name, value in options.items())]
    run_client("apt-get", [*apt, "update"], inbox, None)
    run_client("apt-get", [*apt, "download", *PACKAGES], inbox, None)
    for archive in sorted(inbox.glob("*.deb")):
        unpack(deb_contents(archive, inbox), folder / "root")
        archive.unlink()
    run_client("apt-get", [find("apt-get"), "download", "qemu-user-static"], inbox, None)
    (archive,) = inbox.glob("*.deb")
    unpack(deb_contents(archive, inbox), folder / "qemu")
    shutil.move(folder / "qemu/usr/bin" / _QEMU, folder / _QEMU)
    for each in (inbox, state, folder / "qemu"):
        shutil.rmtree(each)


def _fetch_wheels(folder: Path, versions: dict[str, str]) -> None:
    inbox = folder / "inbox"
    inbox.mkdir()
    pins = [f"{name}=={version}" for name, version in versions.items()]
    platforms = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--only-binary=:all:"]
    command += [f"--platform={each}" for each in platforms]
    command += ["--python-version=3.11", "--dest=.", *pins]
    run_client("pip", command, inbox, None)
    for wheel in sorted(inbox.glob("*.whl")):
        unpack(wheel, _packages(folder))
    shutil.rmtree(inbox)


def _write_own(folder: Path, litert: str) -> None:
    shim = _packages(folder) / "tflite_runtime"
    shim.mkdir()
    (shim / "__init__.py").write_text(f'__version__ = "{litert}"\n', encoding="utf-8")
    (shim / "interpreter.py").write_text(_SHIM, encoding="utf-8")
    (folder / "root/proc").mkdir(exist_ok=True)
    info = "".join(_CPUINFO.format(number=number) for number in range(2))
    (folder / "root/proc/cpuinfo").write_text(info, encoding="utf-8")
    for number in range(2):
        for index, (level, size, kind) in enumerate(_CACHES):
            place = folder / f"root/sys/devices/system/cpu/cpu{number}/cache/index{index}"
            place.mkdir(parents=True)
            facts = {"level": level, "size": size, "type": kind, "shared_cpu_list": str(number)}
            for name, value in facts.items():
                (place / name).write_text(f"{value}\n", encoding="utf-8")
    (folder / "python").write_text(_PYTHON, encoding="utf-8")
    for program in ("python", _QEMU, "root/usr/bin/python3.11"):
        (folder / program).chmod(0o755)


def _packages(folder: Path) -> Path:
    return folder / "root/usr/lib/python3/dist-packages"
