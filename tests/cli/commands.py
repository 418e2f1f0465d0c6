"""Run ``edgekit`` as a person does: a process of its own, in a folder, at a terminal or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
EDGEKIT = [sys.executable, "-m", "edgekit"]


@dataclass(frozen=True)
class Ran:
    """What one command left."""

    code: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tests' own, with this tree importable from any folder."""
    unset = {"COLUMNS", "FORCE_COLOR", "NO_COLOR"}
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    path = os.pathsep.join(filter(None, [str(REPOSITORY), kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **(extra or {})}


def edgekit(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 250
) -> Ran:
    """``edgekit ARGUMENTS`` in ``cwd``, with nobody at its standard input."""
    ran = subprocess.run(
        [*EDGEKIT, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def refused(ran: Ran, code: int, *words: str) -> None:
    """Assert a failure as it should be: its code, its words on stderr, no traceback."""
    assert ran.code == code, ran
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert "error: " in ran.stderr
    for word in words:
        assert word in ran.stderr, ran.stderr
