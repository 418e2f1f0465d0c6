"""The Pythons that peers run by: edgekit's own, its isolated environments, and one for NNCF."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.environments import ENVIRONMENTS, EnvironmentSpec
from edgekit.environments.make import make
from edgekit.environments.place import ready_place, shelf_in
from edgekit.progress import Progress

SPECS: Mapping[str, EnvironmentSpec] = {
    **ENVIRONMENTS,
    "nncf": EnvironmentSpec(
        name="nncf",
        summary="NNCF 3.4 on ONNX Runtime",
        lock=Path(__file__).parent / "locks" / "nncf.txt",
        pythons=("3.11",),
        imports=("nncf", "onnxruntime"),
        workers=(),
        size_bytes=500_000_000,
    ),
}
_SCRIPT = "benchmarks.peers.direct"
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Script:
    """The direct script by one Python; ``env`` is added to the environment."""

    python: Path
    env: Mapping[str, str]

    def command(self, *arguments: str) -> Sequence[str]:
        return [str(self.python), "-s", "-m", _SCRIPT, *arguments]


def script_in(environment: str | None, progress: Progress) -> Script:
    """``None`` is this very Python; an environment that is not there is made.

    Raises:
        MissingError: it cannot be made.
    """
    env = {"PYTHONPATH": str(_REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2"}
    if environment is None:
        return Script(Path(sys.executable), env)
    spec, shelf = SPECS[environment], shelf_in(None)
    python = (ready_place(spec, shelf) or make(spec, shelf, progress)).python
    # Tools call programs of their own environment by name.
    env["PATH"] = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    return Script(python, env | {"CUDA_VISIBLE_DEVICES": "-1"})
