"""``edgekit inspect`` and ``edgekit compare`` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import tflite_models as models
from tests.cli.commands import edgekit, refused
from tests.cli.terminal import run_on_terminal
from tests.int8_models import quantized


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "net.tflite").write_bytes(models.float_model())
    (folder / "int8.tflite").write_bytes(quantized(models.float_model()))
    return folder


def test_the_first_line_says_what_the_file_is(folder: Path) -> None:
    ran = edgekit("inspect", "int8.tflite", cwd=folder)
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == "int8.tflite: full-integer INT8"
    assert "predicted from the file, not measured:" in ran.stdout


def test_quiet_leaves_the_first_line(folder: Path) -> None:
    assert edgekit("inspect", "net.tflite", "-q", cwd=folder).stdout == "net.tflite: float32\n"


def test_every_operator_and_json(folder: Path) -> None:
    assert "FULLY_CONNECTED v" in edgekit("inspect", "net.tflite", "--ops", cwd=folder).stdout
    ran = edgekit("inspect", "net.tflite", "--json", cwd=folder)
    assert (ran.code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["kind"] == "float32"


def test_files_that_are_none_are_exit_code_2(folder: Path) -> None:
    (folder / "cut.tflite").write_bytes(models.float_model()[:400])
    refused(edgekit("inspect", "cut.tflite", cwd=folder), 2, "cut.tflite is damaged", "again")
    refused(edgekit("inspect", "nowhere.tflite", cwd=folder), 2, "cannot read nowhere.tflite")
    refused(edgekit("inspect", "net.tflite", "--op", cwd=folder), 2, "--ops")
    refused(edgekit("compare", "net.tflite", "cut.tflite", cwd=folder), 2, "is damaged")
    refused(edgekit("compare", "net.tflite", cwd=folder), 2, "B")


def test_compare_says_that_its_inputs_are_random(folder: Path) -> None:
    ran = edgekit(
        "compare", "net.tflite", "int8.tflite", "--samples", "2", "--no-latency", "-q", cwd=folder
    )
    assert (ran.code, ran.stderr) == (0, "")
    assert "on 2 random inputs, seed 0: no real data, so no measure of accuracy" in ran.stdout
    assert "differs: input 0: type float32 in A, int8 in B" in ran.stdout
    assert "latency not compared: not asked for" in ran.stdout


def test_compare_in_json(folder: Path) -> None:
    ran = edgekit(
        "compare", "net.tflite", "int8.tflite", "--samples", "2", "--json", "-q", cwd=folder
    )
    assert (ran.code, ran.stderr) == (0, "")
    told = json.loads(ran.stdout)
    assert told["samples"]["real"] is False
    assert told["latency"]["threads"] == 1


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_breaks_no_word(folder: Path, columns: int) -> None:
    program = (
        "import sys; sys.stdout = sys.stderr; from edgekit.cli.main import main; "
        f"sys.exit(main(['inspect', {str(folder / 'int8.tflite')!r}, '--ops']))"
    )
    ran = run_on_terminal(program, columns=columns)
    assert ran.code == 0, ran
    assert "FULLY_CONNECTED" in ran.words
