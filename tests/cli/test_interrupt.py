"""A Ctrl-C that Python would drop, or that native code turns into something else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, os, signal, sys, types
import click
from edgekit.cli import failure, main as program  # none of its imports is to settle it
from edgekit.cli.interrupt import CheckedProgress
from edgekit.progress import SilentProgress

def strike(*_):
    os.kill(os.getpid(), signal.Signals[sys.argv[2]])
    for _ in range(1000):  # the handler runs between two instructions
        pass

def drop():
    gc.callbacks.append(strike)
    gc.collect()
    gc.callbacks.clear()

def turn():
    try:
        strike()
    except KeyboardInterrupt:
        raise ValueError("native code failed") from None

def generated():
    exec("strike()", globals())

@click.command()
def work():
    progress = CheckedProgress(SilentProgress())
    with progress.task("first") as task:
        {"drop": drop, "turn": turn, "generated": generated}[sys.argv[1]]()
        print("went on", flush=True)
        task.advance()
        print("done")

module = types.ModuleType("work_verb")
module.work = work
sys.modules["work_verb"] = module
program.VERBS["work"] = ("work_verb:work", "")
if __name__ == "__main__":
    sys.exit(program.main(["work"]))
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("how", "printed"), [("drop", "went on\n"), ("turn", ""), ("generated", "")]
)
def test_it_is_not_lost(
    how: str, printed: str, number: str, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, "-m", "program", how, number],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 130, ran
    assert ran.stdout == printed
    assert ran.stderr == "interrupted\n"


def test_other_things_that_python_drops_are_still_told(repository: Path) -> None:
    program = (
        "from edgekit.cli import interrupt; interrupt.install()\n"
        "class Broken:\n"
        "    def __del__(self): raise ValueError('of a destructor')\n"
        "Broken()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True
    )
    assert "ValueError: of a destructor" in ran.stderr


def test_a_signal_that_is_ignored_stays_ignored(repository: Path) -> None:
    """``nohup edgekit ...`` survives its terminal."""
    program = (
        "import signal; from edgekit.cli import interrupt; interrupt.install();"
        "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert ran.stdout == "True\n", ran
