"""``.ci/kotlin`` on a machine that has nothing: a note for a person, a failure for CI."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.android import kotlin


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_tools_that_cannot_be_had_fail_where_ci_is(tmp_path: Path, ci: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(kotlin.REPOSITORY / ".ci/kotlin", tmp_path / ".ci")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "cat", "dirname", "sha256sum"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / "bin" / name).symlink_to(program)

    ran = subprocess.run(
        [str(tmp_path / "bin/bash"), ".ci/kotlin"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin"), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith("android_demo is not checked: ")
    assert not (tmp_path / "build").exists()
