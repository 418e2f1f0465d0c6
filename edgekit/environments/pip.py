"""pip, run to fill a venv: its progress shown, its complaint condensed to one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress

from edgekit.environments.spec import EnvironmentSpec
from edgekit.errors import MissingError
from edgekit.fetch.clients import condense
from edgekit.progress import Progress

_OPTIONS = (
    "--no-deps",  # the lock names every package
    "--only-binary=:all:",  # nothing is built, so nothing of a package runs
    "--no-compile",  # most modules are never imported; the others are compiled then
    "--no-input",
    "--no-warn-script-location",
    "--progress-bar=off",
    "--retries=2",
)
# Somebody's own settings that would put packages elsewhere, or other packages here.
_DROPPED = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_CONSTRAINT", "PIP_REQUIREMENT"}
_COLLECTING = re.compile(r"Collecting (\S+)")
_UNFOUND = re.compile(r"No matching distribution found for (\S+)")
_NO_ROOM = "No space left on device"


def fill(pip: tuple[str, ...], spec: EnvironmentSpec, lock_fd: int, progress: Progress) -> None:
    """Install the lock of ``spec`` by the command ``pip``.

    ``lock_fd`` is handed to pip, so that a pip which outlives its caller still holds the lock.

    Raises:
        MissingError: pip failed; the message says at which package and why.
    """
    command = [*pip, "install", *_OPTIONS, "-r", str(spec.lock)]
    packages, last = spec.packages, ""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=clean_environment(),
            pass_fds=(lock_fd,),
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            with progress.task(f"Fetching packages for {spec.name}", len(packages)) as task:
                for line in process.stdout:
                    text = line.decode("utf-8", "replace")
                    if match := _COLLECTING.match(text):
                        last = match[1]
                        task.advance()
                    elif text.startswith("Installing collected packages"):
                        break
            with progress.task(f"Installing {len(packages)} packages for {spec.name}"):
                process.stdout.read()
                process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            process.stdout.close()
        complaints.seek(0)
        complaint = complaints.read().decode("utf-8", "replace")
    if process.returncode != 0:
        raise _failure(spec, last, complaint, process.returncode)


def clean_environment() -> dict[str, str]:
    """This process's environment without what steers a Python or pip to other packages."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in _DROPPED
    }
    return {**kept, "LC_ALL": "C", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _failure(spec: EnvironmentSpec, last: str, complaint: str, code: int) -> MissingError:
    again = f"edgekit bridge setup {spec.name}"
    what = f"the isolated environment {spec.name} could not be set up"
    if _NO_ROOM in complaint:
        need = f"It needs about {spec.size_bytes / 1e9:.1f} GB"
        return MissingError(f"{what}: the disk is full", hint=f"{need}; make room, then: {again}")
    unfound = _UNFOUND.search(complaint)
    package = unfound[1] if unfound else last
    at = f"pip could not install {package}" if package else "pip failed"
    why = condense(complaint) or f"it ended with code {code}"
    return MissingError(
        f"{what}: {at}: {why}",
        hint=f"Check the network and pip's own settings (pip config list), then: {again}",
    )
