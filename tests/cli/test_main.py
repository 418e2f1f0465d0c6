"""The program as a whole: its help, its errors word for word, its exit codes and its signals."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from edgekit.cli.main import VERBS, cli, main
from edgekit.errors import MissingError, RecipeError, UsageError, Where
from edgekit.version import __version__

EDGEKIT = [sys.executable, "-m", "edgekit"]


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Registers a verb ``act`` that calls a function."""

    def register(action: Callable[[], object]) -> None:
        module = types.ModuleType("verb_of_a_test")
        module.act = click.command("act")(action)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "verb_of_a_test", module)
        monkeypatch.setitem(VERBS, "act", ("verb_of_a_test:act", "Act."))

    return register


def raiser(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


def dedent(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


# Help ---------------------------------------------------------------------------------------


def test_help_shows_every_verb_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    for name, (_, line) in VERBS.items():
        assert f"{name} {line}" in " ".join(out.split())
    assert err == ""


@pytest.mark.parametrize("name", VERBS)
def test_the_table_says_what_the_verb_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert (command.help or "").split("\n")[0] == VERBS[name][1]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgekit {__version__}\n"


def test_no_arguments_are_no_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: edgekit")


def test_a_group_without_a_verb_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: edgekit recipes")


def test_help_takes_at_most_twice_the_time_of_a_bare_click_program() -> None:
    bare = (
        "import click\n@click.group()\ndef m(): 'Do.'\n@m.command()\ndef x(): 'X.'\nm(['--help'])"
    )
    commands = {"bare": [sys.executable, "-c", bare], "edgekit": [*EDGEKIT, "--help"]}
    ratios = []
    for _ in range(3):  # a busy moment may spoil one try, hardly three
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(7):
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                seconds[name].append(time.perf_counter() - start)
        ratios.append(statistics.median(seconds["edgekit"]) / statistics.median(seconds["bare"]))
        if ratios[-1] <= 2:
            return
    pytest.fail(f"edgekit --help takes {ratios} times as long as a bare click program")


# Errors, word for word ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "transcript"),
    [
        pytest.param(
            ["quantise"],
            """
            error: no command 'quantise'
              did you mean 'quantize'?
            """,
            id="mistyped verb",
        ),
        pytest.param(
            ["xyz"],
            f"""
            error: no command 'xyz'
              there are: {", ".join(VERBS)}
            """,
            id="unknown verb",
        ),
        pytest.param(
            ["doctor", "--jsn"],
            """
            error: no option '--jsn'
              did you mean '--json'?
              see: edgekit doctor --help
            """,
            id="mistyped option",
        ),
        pytest.param(
            ["--vresion"],
            """
            error: no option '--vresion'
              did you mean '--version'?
              see: edgekit --help
            """,
            id="mistyped option of the program",
        ),
        pytest.param(
            ["doctor", "everything"],
            """
            error: Got unexpected extra argument (everything)
              see: edgekit doctor --help
            """,
            id="argument too many",
        ),
    ],
)
def test_wrong_usage(
    arguments: list[str], transcript: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == dedent(transcript)


def problem(line: int, key: str, message: str, hint: str | None = None) -> RecipeError:
    return RecipeError(message, where=Where("mine.yaml", line, key), hint=hint)


@pytest.mark.parametrize(
    ("error", "code", "transcript"),
    [
        pytest.param(
            UsageError("no such file", where=Where("mine.yaml", 3, "model.file"), hint="Name one."),
            2,
            """
            error: no such file
              in mine.yaml:3: model.file
              Name one.
            """,
            id="place and hint",
        ),
        pytest.param(
            RecipeError(
                "2 problems in mine.yaml",
                problems=(
                    problem(3, "quantize.metod", "no such key", "did you mean 'method'?"),
                    problem(9, "gate", "must be a mapping"),
                ),
                hint="edgekit recipes validate mine.yaml",
            ),
            2,
            """
            error: 2 problems in mine.yaml
              mine.yaml:3: quantize.metod: no such key; did you mean 'method'?
              mine.yaml:9: gate: must be a mapping
              edgekit recipes validate mine.yaml
            """,
            id="recipe with two problems",
        ),
        pytest.param(
            MissingError("torch is not installed", hint="pip install 'edgekit[torch]'"),
            4,
            """
            error: torch is not installed
              pip install 'edgekit[torch]'
            """,
            id="missing package",
        ),
        pytest.param(KeyboardInterrupt(), 130, "interrupted\n", id="Ctrl-C"),
        pytest.param(
            OSError(28, "No space left on device", "runs/model.tflite"),
            2,
            """
            error: cannot write: No space left on device
              in runs/model.tflite
            """,
            id="full disk",
        ),
    ],
)
def test_an_error_of_a_verb(
    error: BaseException,
    code: int,
    transcript: str,
    verb: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb(raiser(error))
    assert main(["act"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == dedent(transcript)


@pytest.mark.parametrize("error", [KeyError("scale"), EOFError("ran out"), BrokenPipeError()])
def test_a_bug_says_so_with_its_traceback(
    error: Exception,
    verb: Callable[[Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb(raiser(error))
    assert main(["act"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback")
    assert type(error).__name__ in err
    after = err[err.index("bug: ") :]
    assert f"edgekit {__version__}, Python" in after
    assert "command: edgekit act" in after


def test_a_question_that_nobody_can_answer(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(raiser(click.Abort()))
    assert main(["act"]) == 2
    assert "standard input has none" in capsys.readouterr().err


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (1, 1), (3, 3)])
def test_a_verb_returns_its_exit_code(
    returned: int | None, code: int, verb: Callable[[Callable[[], object]], None]
) -> None:
    verb(lambda: returned)
    assert main(["act"]) == code


def test_a_verb_exits_with_a_code(verb: Callable[[Callable[[], object]], None]) -> None:
    verb(lambda: click.get_current_context().exit(3))
    assert main(["act"]) == 3


def test_an_exit_of_the_users_code_is_no_pass(
    verb: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(raiser(SystemExit(0)))
    assert main(["act"]) == 2
    assert "the model's own code called sys.exit(0)\n  at " in capsys.readouterr().err


def test_a_recipe_with_a_typo_is_placed(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: mobilenet_int8\nname: mine\nquantize:\n  metod: x\n")
    child = subprocess.run([*EDGEKIT, "recipes", "validate", str(recipe)], capture_output=True)
    assert child.returncode == 2
    assert b"Traceback" not in child.stderr
    assert f"{recipe}:4: quantize.metod: ".encode() in child.stdout + child.stderr
    assert b"'method'" in child.stdout + child.stderr


# Pipes and signals --------------------------------------------------------------------------


def test_a_reader_that_leaves_is_neither_a_failure_nor_a_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    child = subprocess.run([*EDGEKIT, "--help"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert child.returncode == 141
    assert child.stderr == b""


def test_a_result_that_cannot_be_written() -> None:
    with Path("/dev/full").open("wb") as full:
        child = subprocess.run([*EDGEKIT, "--help"], stdout=full, stderr=subprocess.PIPE)
    assert child.returncode == 2
    assert child.stderr == b"error: cannot write: No space left on device\n  in standard output\n"


NAP = """
import pathlib, sys, time, types
import click
from edgekit.cli import main as program

@click.command()
def nap():
    try:
        print("napping", flush=True)
        time.sleep(60)
    finally:
        pathlib.Path(sys.argv[1]).write_text("cleaned up")

module = types.ModuleType("nap_verb")
module.nap = nap
sys.modules["nap_verb"] = module
program.VERBS["nap"] = ("nap_verb:nap", "")
sys.exit(program.main(["nap"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_cleans_up_and_says_one_word(number: signal.Signals, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with subprocess.Popen(
        [sys.executable, "-c", NAP, str(trace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "napping\n"
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err == "interrupted\n"
    assert trace.read_text() == "cleaned up"
