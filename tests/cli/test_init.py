"""``edgekit init``: a recipe that validates, and a next command that works."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.commands import REPOSITORY, edgekit, refused
from tests.cli.terminal import run_on_terminal
from tests.tiny_runs import write_arrays, write_model, write_photos


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with net.tflite, data.npz and photos/."""
    write_model(tmp_path)
    write_arrays(tmp_path)
    write_photos(tmp_path, classes=5)
    return tmp_path


def test_the_recipe_validates_and_the_next_command_works(home: Path) -> None:
    made = edgekit("init", "net.tflite", "--data", "photos", "--normalize", "signed", cwd=home)
    assert made.code == 0
    assert made.stdout == "edgekit quantize --recipe net_int8.yaml\n"
    assert made.stderr.splitlines() == [
        "assumed: input x [1, 4, 4, 3] is NHWC, as .tflite models are",
        "assumed: output scores holds the scores of 5 classes",
        "assumed: classes 0, 1, ... are the folders 0, 1, 2, 3, 4",
        "assumed: images: shorter side to 5, then the centre 4 x 4",
        "assumed: channels are RGB",
        "wrote net_int8.yaml",
    ]
    assert edgekit("recipes", "validate", "net_int8.yaml", cwd=home).code == 0
    program, *arguments = shlex.split(made.stdout)
    assert program == "edgekit"
    ran = edgekit(*arguments, "--set", "gate.agreement_min=0.5", "--out", "out", cwd=home)
    assert ran.code == 0, ran
    assert (home / "out" / "model.tflite").exists()


def test_paths_are_relative_to_the_recipe_and_it_works_from_anywhere(home: Path) -> None:
    (home / "my recipes").mkdir()
    out = Path("my recipes") / "first one.yaml"
    made = edgekit("init", "net.tflite", "--data", "data.npz", "--out", out, cwd=home)
    assert made.code == 0
    assert shlex.split(made.stdout)[-1] == str(out)
    text = (home / out).read_text(encoding="utf-8")
    assert 'file: "file:../net.tflite"\n' in text
    assert text.count("dataset: ../data.npz\n") == 2
    assert str(home) not in text
    elsewhere = home / "a" / "b"
    elsewhere.mkdir(parents=True)
    ran = edgekit("quantize", "-r", Path("../..") / out, "--out", "out", cwd=elsewhere)
    assert ran.code == 0, ran


def test_a_folder_that_is_a_link(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (home / "linked").symlink_to(tmp_path_factory.mktemp("target"))
    out = Path("linked") / "net.yaml"
    assert edgekit("init", "net.tflite", "--data", "data.npz", "--out", out, cwd=home).code == 0
    assert edgekit("recipes", "validate", out, cwd=home).code == 0


def test_an_existing_recipe_is_kept_unless_forced(home: Path) -> None:
    (home / "net_int8.yaml").write_text("mine")
    arguments = ("init", "net.tflite", "--data", "data.npz")
    refused(edgekit(*arguments, cwd=home), 2, "net_int8.yaml is there already", "--force")
    assert (home / "net_int8.yaml").read_text() == "mine"
    assert edgekit(*arguments, "--force", cwd=home).code == 0
    assert (home / "net_int8.yaml").read_text().startswith("# Made from net.tflite")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("give the MODEL file", "edgekit init model.pt2")),
        (("net.tflite",), ("how pixels become", "--normalize")),
        (("net.tflite", "--data", "nowhere"), ("no file or folder nowhere", "--data")),
        (("data.npz",), ("data.npz is a zip archive, but no PyTorch model",)),
        (("net.tflite", "--data", "data.npz", "--out", "no/r.yaml"), ("cannot write no/r.yaml",)),
        (("net.tflite", "--data", "data.npz", "--out", "net.tflite/r"), ("cannot write",)),
        (("net.tflite", "--data", "data.npz", "--out", "photos", "--force"), ("cannot write",)),
    ],
)
def test_what_it_refuses(home: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    before = sorted(path.name for path in home.rglob("*"))
    refused(edgekit("init", *arguments, cwd=home), 2, *words)
    assert sorted(path.name for path in home.rglob("*")) == before


def test_it_asks_for_the_normalisation_on_a_terminal(home: Path) -> None:
    """Ctrl-C at the question is an answer too: no recipe."""
    program = (
        f"import os, sys; sys.path.insert(0, {str(REPOSITORY)!r}); os.chdir({str(home)!r});"
        "from edgekit.cli.main import main;"
        "sys.exit(main(['init', 'net.tflite', '--data', 'photos']))"
    )
    question = "normalisation in the training code"
    ran = run_on_terminal(program, interrupt_when=question)
    assert ran.code == 130
    assert "unit (x/255)" in ran.words
    assert "Traceback" not in ran.words
    assert not (home / "net_int8.yaml").exists()
    ran = run_on_terminal(program, type_when={question: "caffe\nsigned\n"})
    assert ran.code == 0
    assert "'caffe' is not one of" in ran.words
    assert ran.stdout.strip() == "edgekit quantize --recipe net_int8.yaml"
    assert "mean: [127.5]" in (home / "net_int8.yaml").read_text()
