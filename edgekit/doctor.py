"""The facts of ``edgekit doctor``: what is installed, what is missing for what, how to get it.

Ranges come from edgekit's own installed metadata, versions from that of the packages: nothing
heavy is imported, except in a child process by ``deep_checks``.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from edgekit.cache import CACHE_DIR_VARIABLE, cache_folder
from edgekit.environments.state import EnvironmentFact, environment_facts
from edgekit.errors import EXIT_MISSING, EXIT_PASSED, MissingError
from edgekit.fetch.clients import has_pip

MAIN_EXTRA = "demo"
"""What ``edgekit quantize --recipe mobilenet_int8`` needs; its absence is exit 4."""

FEATURES = {
    "core": "everything",
    "torch": "PyTorch models, .tflite artefacts",
    "tensorflow": "Keras and SavedModel models",
    "onnx": "ONNX models",
    "text": "models that read text",
    "audio": "models that hear",
    "devices": "phones, where no adb program is installed",
    "dev": "edgekit's own tests",
}
"""Extra -> what a user can do with it. Extras made only of other extras are not listed."""

DEEP_PROGRAMS = {
    "torch": (
        "import torch; assert torch.ones(3).sum().item() == 3; "
        "print('quantized engines', *torch.backends.quantized.supported_engines)"
    ),
    "torchao": "import torchao.quantization",
    "litert-torch": "import litert_torch",
    "ai-edge-litert": "from ai_edge_litert.interpreter import Interpreter",
    "ai-edge-quantizer": "import ai_edge_quantizer",
    "tensorflow": "import tensorflow as tf; assert float(tf.reduce_sum(tf.ones(3))) == 3",
    "onnx": "import onnx",
    "onnxruntime": "import onnxruntime; assert onnxruntime.get_available_providers()",
    "tokenizers": "import tokenizers",
}
"""Package -> a program that exits 0 when the package works; what it prints is shown."""
DEEP_TIMEOUT_S = 180

NOTES = {
    "torch": (
        "PyTorch deprecates FX graph mode and TorchScript, which the methods fx and dynamic use; "
        "pt2e is what it develops"
    ),
}
"""Package -> what its user should know, shown where it is installed."""

_OURS = "edgekit"
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")

Status = Literal["ok", "missing", "outside"]


@dataclass(frozen=True)
class PackageFact:
    """One package that some feature needs. ``supported`` is a specifier, e.g. ``">=2.3,<2.4"``."""

    name: str
    extras: tuple[str, ...]
    supported: str
    installed: str | None
    status: Status
    install: str


@dataclass(frozen=True)
class ClientFact:
    """One program that edgekit runs. ``path`` is ``None`` where it is not on the PATH."""

    name: str
    path: str | None
    used_for: str
    install: str
    required: bool


@dataclass(frozen=True)
class CacheFact:
    """The cache folder; ``size_bytes`` of all files in it, 0 where it does not exist yet."""

    path: str
    size_bytes: int
    writable: bool


@dataclass(frozen=True)
class DeepFact:
    """Whether a package really runs; ``why`` is its last words when it does not, ``said`` what it
    told when it did."""

    name: str
    ran: bool
    seconds: float
    why: str | None
    said: str = ""


@dataclass(frozen=True)
class Obstacle:
    """Something that keeps the main job from running, and the command or step that mends it."""

    what: str
    mend: str


@dataclass(frozen=True)
class Diagnosis:
    """All facts at once."""

    edgekit: str
    python: str
    executable: str
    platform: str
    cores: int
    packages: tuple[PackageFact, ...]
    clients: tuple[ClientFact, ...]
    cache: CacheFact
    main_extras: tuple[str, ...]
    deep: tuple[DeepFact, ...] = ()
    notes: tuple[str, ...] = ()
    environments: tuple[EnvironmentFact, ...] = ()

    @property
    def main_packages(self) -> frozenset[str]:
        """Names of the packages that the main job needs."""
        wanted = set(self.main_extras)
        return frozenset(fact.name for fact in self.packages if wanted & set(fact.extras))

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """What keeps the main job from running."""
        needed = self.main_packages
        found = [
            Obstacle(
                f"{fact.name} is missing"
                if fact.installed is None
                else f"{fact.name} {fact.installed} is outside {fact.supported}",
                fact.install,
            )
            for fact in self.packages
            if fact.name in needed and fact.status != "ok"
        ]
        found += [
            Obstacle(f"{fact.name} does not run: {fact.why}", f"pip install -I {fact.name}")
            for fact in self.deep
            if fact.name in needed and not fact.ran
        ]
        found += [
            Obstacle(f"{client.name} is missing", client.install)
            for client in self.clients
            if client.required and client.path is None
        ]
        if not self.cache.writable:
            step = f"set {CACHE_DIR_VARIABLE} to a folder that can be"
            found.append(Obstacle(f"the cache folder {self.cache.path} cannot be written", step))
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """0 when the main job can run, else 4."""
        return EXIT_MISSING if self.obstacles else EXIT_PASSED


def diagnose(*, deep: bool = False) -> Diagnosis:
    """Look at this machine. ``deep`` also imports and runs each heavy package in a child.

    Raises:
        MissingError: edgekit itself is not installed, so its supported ranges are unknown.
    """
    try:
        requires = metadata.requires("edgekit") or []
        version = metadata.version("edgekit")
    except metadata.PackageNotFoundError as error:
        raise MissingError(
            "edgekit runs from a folder but is not installed, so what it needs is not on record",
            hint="pip install -e .   (in the folder that holds edgekit's setup.cfg)",
        ) from error
    packages = package_facts(requires)
    return Diagnosis(
        edgekit=version,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        cores=len(os.sched_getaffinity(0)),
        packages=packages,
        clients=client_facts(),
        cache=cache_fact(cache_folder()),
        main_extras=("core", *sorted(expand_extra(MAIN_EXTRA, requires))),
        deep=deep_facts(packages) if deep else (),
        notes=tuple(NOTES[f.name] for f in packages if f.name in NOTES and f.installed),
        environments=environment_facts(),
    )


def installed_version(name: str) -> str | None:
    """Version of an installed distribution, read from its metadata; ``None`` if absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def package_facts(
    requires: Iterable[str], version_of: Callable[[str], str | None] = installed_version
) -> tuple[PackageFact, ...]:
    """One fact per package named in ``requires`` (``Requires-Dist`` lines), core first."""
    extras_of: dict[str, list[str]] = {}
    specs: dict[str, Requirement] = {}
    for extra, requirements in _by_extra(requires).items():
        for requirement in requirements:
            name = canonicalize_name(requirement.name)
            if name != _OURS:
                extras_of.setdefault(name, []).append(extra)
                specs.setdefault(name, requirement)
    facts = [
        _package_fact(name, tuple(extras), specs[name].specifier, version_of(name))
        for name, extras in extras_of.items()
    ]
    order = {extra: place for place, extra in enumerate(FEATURES)}
    return tuple(sorted(facts, key=lambda fact: (order.get(fact.extras[0], 99), fact.name)))


def _package_fact(
    name: str, extras: tuple[str, ...], supported: SpecifierSet, installed: str | None
) -> PackageFact:
    status: Status = "missing"
    if installed is not None:
        status = "ok" if _inside(installed, supported) else "outside"
    # Lower bound first, as people write it.
    text = ",".join(sorted(map(str, supported), reverse=True))
    wanted = f"{name}{text}" if extras[0] == "core" else f"{_OURS}[{extras[0]}]"
    install = f"pip install '{wanted}'"
    return PackageFact(name, extras, text, installed, status, install)


def _inside(version: str, supported: SpecifierSet) -> bool:
    try:
        return supported.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False  # somebody's own numbering


def expand_extra(extra: str, requires: Iterable[str]) -> frozenset[str]:
    """``extra`` and every extra of edgekit that it pulls in by ``edgekit[...]``."""
    by_extra = _by_extra(requires)
    found: set[str] = set()
    waiting = {extra}
    while waiting:
        name = waiting.pop()
        found.add(name)
        for requirement in by_extra.get(name, ()):
            if canonicalize_name(requirement.name) == _OURS:
                waiting |= requirement.extras - found
    return frozenset(found)


def _by_extra(requires: Iterable[str]) -> dict[str, list[Requirement]]:
    """Requirements by the extra that brings them; those without one are ``core``."""
    found: dict[str, list[Requirement]] = {}
    for line in requires:
        requirement = Requirement(line)
        name = _EXTRA.search(line)
        extra = name.group(1) if name else ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found.setdefault(extra or "core", []).append(requirement)
    return found


def client_facts(which: Callable[[str], str | None] = shutil.which) -> tuple[ClientFact, ...]:
    """The programs edgekit may run, where they are, and what brings a missing one."""
    pip = f"{sys.executable} -m pip" if has_pip() else None
    deb = "deb:// sources, on Debian and its kin"
    return (
        ClientFact("pip", pip, "pypi:// sources", f"{sys.executable} -m ensurepip", True),
        *(
            ClientFact(name, which(name), used_for, f"apt-get install {package}", False)
            for name, used_for, package in (
                ("npm", "npm:// sources", "npm"),
                ("apt-get", deb, "apt"),
                ("dpkg-deb", deb, "dpkg"),
                ("adb", "measuring on a phone", "adb"),
            )
        ),
    )


def cache_fact(folder: Path) -> CacheFact:
    """Where the cache is, how much it holds, and whether a run can write there."""
    size_bytes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size_bytes += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # another run has just removed it
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return CacheFact(str(folder), size_bytes, writable)


def deep_facts(
    packages: Iterable[PackageFact], programs: Mapping[str, str] | None = None
) -> tuple[DeepFact, ...]:
    """Run one small program per installed heavy package, each in a child of its own."""
    programs = DEEP_PROGRAMS if programs is None else programs
    present = {fact.name for fact in packages if fact.installed is not None}
    return tuple(_run_deep(name, programs[name]) for name in programs if name in present)


def _run_deep(name: str, program: str) -> DeepFact:
    start = time.monotonic()
    try:
        child = subprocess.run(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEEP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return DeepFact(name, False, float(DEEP_TIMEOUT_S), f"no answer in {DEEP_TIMEOUT_S} s")
    why = None
    if child.returncode != 0:
        words = child.stderr.strip().splitlines()
        why = words[-1] if words else f"exit code {child.returncode}"
    said = child.stdout.strip() if why is None else ""
    return DeepFact(name, child.returncode == 0, time.monotonic() - start, why, said)
