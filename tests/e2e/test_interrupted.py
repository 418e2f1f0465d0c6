"""Runs that are stopped halfway: nothing looks finished, and nothing is in the next run's way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import EDGEKIT, edgekit, environment, refused
from tests.e2e.torch_project import write_project
from tests.tiny_runs import write_arrays, write_model, write_recipe


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """recipe.yaml needs a conversion, which takes many seconds; quick/recipe.yaml needs none."""
    write_project(tmp_path)
    quick = tmp_path / "quick"
    quick.mkdir()
    write_model(quick)
    write_arrays(quick)
    write_recipe(quick)
    return tmp_path


@contextmanager
def converting(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in the midst of its conversion, in a process group of its own."""
    cache = home / "cache"
    child = subprocess.Popen(
        [*EDGEKIT, "quantize", "--recipe", "recipe.yaml", "--out", "out"],
        cwd=home,
        env=environment({"EDGEKIT_CACHE_DIR": str(cache)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while not list(cache.glob("graph/.*.making")):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1)
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def beside(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if "out" in path.name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_conversion(home: Path, number: signal.Signals) -> None:
    with converting(home) as child:
        os.killpg(child.pid, number)
        stdout, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert stdout == ""
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
    assert beside(home) == []
    assert {path.suffix for path in (home / "cache" / "graph").iterdir()} <= {".lock"}


def test_a_second_run_into_the_folder_and_a_killed_first(home: Path) -> None:
    arguments = ("quantize", "--recipe", "quick/recipe.yaml", "--out", "out")
    with converting(home) as child:
        ran = edgekit(*arguments, cwd=home, timeout_s=20)
        refused(ran, 2, f"another run is writing to {home / 'out'}", "--out")
        assert child.poll() is None
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert beside(home) == [".out.lock", ".out.partial"]
    ran = edgekit(*arguments, cwd=home)
    assert ran.code == 0, ran
    assert beside(home) == ["out"]
    assert (home / "out" / "manifest.json").exists()
