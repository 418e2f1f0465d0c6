"""SwiftShader, a Vulkan device made of software, and the Python that LiteRT's GPU accelerator
finds it from: no graphics card, no root.

It and a loader of Vulkan come out of Debian's package chromium-common, which is not installed.
Debian 12's own software Vulkan (Mesa 22.3) lacks what the accelerator asks for.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from edgekit.cache import Cache, content_key
from edgekit.errors import FetchError
from edgekit.fetch.clients import deb_contents, find, run_client
from edgekit.fetch.unpack import unpack
from edgekit.progress import Progress

PACKAGE = "chromium-common"
FILES = ("libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json")
_REVISION = 1
"""Of this recipe of a tree; another one is made when it changes."""
# The Vulkan loader's interface to drivers, LoaderDriverInterface.md: VK_DRIVER_FILES, and its
# name in loaders before 1.3.207.
_PYTHON = """#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
export VK_DRIVER_FILES="$here/vk_swiftshader_icd.json"
export VK_ICD_FILENAMES="$VK_DRIVER_FILES"
export LD_LIBRARY_PATH="$here${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "{python}" "$@"
"""


def vulkan_python(cache: Cache, progress: Progress) -> Path:
    """This Python with that Vulkan device and no other; made on first use, about 30 MB to fetch.

    Raises:
        FetchError: apt-get or dpkg-deb is missing, or the package cannot be had or has none.
    """

    def make(folder: Path) -> None:
        with progress.task("Getting SwiftShader, a Vulkan of software (once, about 30 MB)"):
            _fetch(folder)
        script = folder / "python"
        script.write_text(_PYTHON.format(python=sys.executable), encoding="utf-8")
        script.chmod(0o755)

    key = content_key({"python": sys.executable, "package": PACKAGE, "revision": _REVISION})
    return cache.get_or_make("swiftshader", key, make, check="size").path / "python"


def _fetch(folder: Path) -> None:
    inbox = folder / "inbox"
    inbox.mkdir()
    run_client("apt-get", [find("apt-get"), "download", PACKAGE], inbox, None)
    (archive,) = inbox.glob("*.deb")
    unpack(deb_contents(archive, inbox), inbox / "root")
    for name in FILES:
        file = inbox / "root/usr/lib/chromium" / name
        if not file.is_file():
            raise FetchError(
                f"{archive.name} has no {name}",
                hint="Its packaging has changed; edgekit knows that of Debian 12.",
            )
        shutil.move(file, folder / name)
    shutil.rmtree(inbox)
