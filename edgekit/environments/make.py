"""Making an environment: a venv, the packages of its lock, a first import, then its place."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

from edgekit.cache import clear_errors, sweep
from edgekit.environments.child import Call, run_worker
from edgekit.environments.pip import clean_environment, fill
from edgekit.environments.place import (
    Place,
    alone,
    places,
    size_on_disk,
    write_mark,
)
from edgekit.environments.spec import WORKERS, EnvironmentSpec
from edgekit.errors import MissingError, WorkerError
from edgekit.fetch.clients import has_pip
from edgekit.progress import Progress

PROBE_TIMEOUT_S = 600.0
_START_TIMEOUT_S = 30.0
_MAX_SCRIPT_BYTES = 1 << 20


def make(
    spec: EnvironmentSpec, shelf: Path, progress: Progress, *, instead_of: str | None = None
) -> Place:
    """The environment of ``spec``, made unless another process did so meanwhile.

    ``instead_of`` is the mark of a damaged one that is to be replaced. A failure leaves nothing
    behind, and a damaged environment where it was.

    Raises:
        MissingError: no Python that it can be made with, or a package could not be installed.
        OutputError: the cache folder cannot be written.
    """
    place, python = _with_python(spec, shelf)
    with alone(place, progress, "for it") as lock:
        if place.is_there and place.mark() != instead_of:
            return place
        with clear_errors(shelf):
            sweep(shelf, own=place.name)
            shutil.rmtree(place.making, ignore_errors=True)
            _check_room(spec, shelf)
            progress.note(
                f"setting up the isolated environment {spec.name} ({spec.summary}) once: "
                f"{len(spec.packages)} packages, about {spec.size_bytes / 1e9:.1f} GB in {shelf}"
            )
            try:
                _build(place, python, lock.fileno(), progress)
            except BaseException:
                shutil.rmtree(place.making, ignore_errors=True)
                raise
    return place


def probe(spec: EnvironmentSpec, python: Path, folder: Path, *, imports: bool) -> dict[str, str]:
    """What is wrong with an environment, by package; ``imports`` also tries to use it.

    Raises:
        WorkerError: its Python does not start, or an import fails.
    """
    request = {"packages": spec.packages, "imports": list(spec.imports) if imports else []}
    call = Call(spec.name, python, WORKERS / "probe.py", request, folder, PROBE_TIMEOUT_S)
    return dict(run_worker(call)["damaged"])


def _build(place: Place, python: str, lock_fd: int, progress: Progress) -> None:
    spec, making, begin = place.spec, place.making, monotonic()
    own_pip = has_pip() and python == sys.executable
    with progress.task(f"Making a venv for {spec.name}"):
        _make_venv(spec, making, python, with_pip=not own_pip)
    fresh = making / "bin" / "python"
    # The same Python's pip may well serve the venv; otherwise the venv has one of its own.
    pip = (python, "-m", "pip", "--python", str(fresh)) if own_pip else (str(fresh), "-m", "pip")
    fill(pip, spec, lock_fd, progress)
    with progress.task(f"Trying {spec.name}"):
        try:
            damaged = probe(spec, fresh, making, imports=True)
        except WorkerError as error:
            raise MissingError(
                f"the isolated environment {spec.name} was set up but does not work: "
                f"{error.message}",
                hint=error.hint,
            ) from error
    if damaged:
        name, why = next(iter(damaged.items()))
        raise MissingError(f"the isolated environment {spec.name}: pip left {name} damaged: {why}")
    _readdress_scripts(making, place.path)
    write_mark(making, size_bytes=size_on_disk(making), seconds=monotonic() - begin)
    if place.path.exists():  # damaged, or it would have been used
        shutil.rmtree(place.path)
    making.rename(place.path)


def _make_venv(spec: EnvironmentSpec, folder: Path, python: str, *, with_pip: bool) -> None:
    command = [python, "-m", "venv", *([] if with_pip else ["--without-pip"]), str(folder)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=clean_environment()
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").split("\n\n")[0]
        raise MissingError(
            f"the isolated environment {spec.name} could not be set up: {python} cannot make a "
            f"venv: {' '.join(said.split())[:300]}",
            hint="On Debian and its kin: apt-get install python3-venv",
        )


def _readdress_scripts(making: Path, final: Path) -> None:
    """Programs of the environment name its Python by its path, which the rename changes."""
    old, new = str(making).encode(), str(final).encode()
    for script in (making / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        if script.stat().st_size > _MAX_SCRIPT_BYTES:
            continue
        data = script.read_bytes()
        if old in data:
            script.write_bytes(data.replace(old, new))


def _check_room(spec: EnvironmentSpec, shelf: Path) -> None:
    free_bytes = shutil.disk_usage(shelf).free
    if free_bytes < spec.size_bytes:
        raise MissingError(
            f"the isolated environment {spec.name} needs about {spec.size_bytes / 1e9:.1f} GB and "
            f"{shelf} has {free_bytes / 1e9:.1f} GB left",
            hint="Make room there, or set EDGEKIT_CACHE_DIR to a folder with more.",
        )


def _with_python(spec: EnvironmentSpec, shelf: Path) -> tuple[Place, str]:
    """Where it goes and the Python that makes it: one that is there, else edgekit's own, else the
    first on the PATH that starts."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for place in places(spec, shelf):
        python = sys.executable if place.version == own else shutil.which(f"python{place.version}")
        if python is not None and (python == sys.executable or _starts(python, place.version)):
            return place, python
    names = " or ".join(f"python{version}" for version in spec.pythons)
    raise MissingError(
        f"the isolated environment {spec.name} needs {names}, and none is on the PATH",
        hint=f"Install one (on Debian and its kin: apt-get install {names.split()[0]}-venv).",
    )


def _starts(python: str, version: str) -> bool:
    """A name on the PATH may be a shim for a version that is not installed."""
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=_START_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version
