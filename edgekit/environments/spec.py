"""What each isolated environment is made of."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edgekit.cache import content_key, file_sha256
from edgekit.errors import UsageError

WORKERS = Path(__file__).parent / "workers"
_LOCKS = Path(__file__).parent / "locks"
REVISION = 1
"""Of how a venv is made; a change makes all of them anew."""
_KEY_CHARS = 16


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment: ``lock`` pins every package, ``pythons`` are the minor versions that all
    of them have wheels for, ``imports`` must work once they are installed, ``workers`` are those
    whose results are remembered."""

    name: str
    summary: str
    lock: Path
    pythons: tuple[str, ...]
    imports: tuple[str, ...]
    workers: tuple[str, ...]
    size_bytes: int
    """On disk, about."""

    @property
    def packages(self) -> dict[str, str]:
        """Name -> version, as the lock pins them."""
        lines = (line.strip() for line in self.lock.read_text(encoding="utf-8").splitlines())
        pins = (line.split("==") for line in lines if line and not line.startswith("#"))
        return dict(pins)

    def key(self, python: str) -> str:
        """Names the venv made by ``python`` (``"3.11"``) on a machine like this one."""
        parts = {
            "packages": self.packages,
            "python": python,
            "machine": sysconfig.get_platform(),
            "revision": REVISION,
        }
        return content_key(parts)[:_KEY_CHARS]


ENVIRONMENTS: dict[str, EnvironmentSpec] = {
    "onnx2tf": EnvironmentSpec(
        name="onnx2tf",
        summary="onnx2tf 1.29 on TensorFlow 2.19",
        lock=_LOCKS / "onnx2tf.txt",
        pythons=("3.11",),
        imports=("onnx2tf",),
        workers=("convert_onnx2tf",),
        size_bytes=2_400_000_000,
    ),
    "onnx-tf": EnvironmentSpec(
        name="onnx-tf",
        summary="onnx-tf 1.10 on TensorFlow 2.15, tflite-runtime 2.14",
        lock=_LOCKS / "onnx-tf.txt",
        pythons=("3.11",),
        imports=("onnx_tf.backend", "tflite_runtime.interpreter"),
        workers=("convert_onnx_tf",),
        size_bytes=1_300_000_000,
    ),
}


def find_environment(name: str) -> EnvironmentSpec:
    """The environment called ``name``; ``_`` and ``-`` are the same.

    Raises:
        UsageError: there is none; the nearest name is told.
    """
    wanted = name.lower().replace("_", "-")
    if wanted in ENVIRONMENTS:
        return ENVIRONMENTS[wanted]
    bare = {_bare(known): known for known in ENVIRONMENTS}
    near = get_close_matches(_bare(wanted), bare, n=1, cutoff=0.5)
    known = f"did you mean '{bare[near[0]]}'?" if near else f"there are: {', '.join(ENVIRONMENTS)}"
    raise UsageError(f"no isolated environment '{name}'", hint=known)


def _bare(name: str) -> str:
    return name.replace("-", "")


def environment_version(name: str) -> str:
    """Content key of the lock and the workers of an environment, without making it.

    Raises:
        UsageError: there is no such environment.
    """
    spec = find_environment(name)
    files = [WORKERS / "protocol.py", *(WORKERS / f"{worker}.py" for worker in spec.workers)]
    workers = {file.name: file_sha256(file) for file in files}
    parts = {"packages": spec.packages, "revision": REVISION, "workers": workers}
    return content_key(parts)[:_KEY_CHARS]
