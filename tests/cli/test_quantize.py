"""``edgekit quantize``: what goes to which stream, what it refuses, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import tflite_models as models
from tests.cli.commands import edgekit, refused
from tests.tiny_runs import write_arrays, write_model, write_photos, write_recipe


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with recipe.yaml, net.tflite and data.npz."""
    write_model(tmp_path)
    write_arrays(tmp_path)
    write_recipe(tmp_path)
    return tmp_path


# Streams and exit codes -------------------------------------------------------------------------


def test_the_report_on_stdout_and_remarks_on_stderr(home: Path) -> None:
    # A cache of its own: other tests quantize the same network.
    empty = {"EDGEKIT_CACHE_DIR": str(home / "cache")}
    ran = edgekit("quantize", "--recipe", "recipe.yaml", "--out", "out", cwd=home, env=empty)
    assert ran.code == 0
    assert ran.stderr == ""
    assert ran.stdout.startswith("tiny by litert_static")
    *_, verdict, folder = ran.stdout.splitlines()
    assert verdict.startswith("PASS  4 of 4 required checks passed")
    assert folder == "out/"
    assert "\x1b" not in ran.stdout
    again = edgekit("quantize", "--recipe", "recipe.yaml", "--out", "again", cwd=home, env=empty)
    assert again.stderr.splitlines() == [
        "note: calibration statistics: taken from the cache",
        "note: reference: taken from the cache",
    ]
    fresh = edgekit("quantize", "-r", "recipe.yaml", "--out", "fresh", "--no-cache", cwd=home)
    assert fresh.stderr == ""


def test_json_is_report_json_and_nothing_else(home: Path) -> None:
    ran = edgekit("quantize", "-r", "recipe.yaml", "--out", "out", "--json", cwd=home)
    assert ran.code == 0
    assert json.loads(ran.stdout) == json.loads((home / "out" / "report.json").read_text())


def test_a_failing_gate_prints_its_report_and_exits_1(home: Path) -> None:
    limit = ("--set", "gate.size_ratio_max=0.01")
    ran = edgekit("quantize", "-r", "recipe.yaml", *limit, "--out", "out", "--json", cwd=home)
    assert ran.code == 1
    assert json.loads(ran.stdout)["verdict"] == "fail"
    ran = edgekit("quantize", "-r", "recipe.yaml", *limit, "--out", "out", "--force", cwd=home)
    assert ran.code == 1
    assert "size.ratio: " in ran.stdout
    assert "FAIL  4 of 5" in ran.stdout


def test_an_undecided_gate_exits_3(home: Path) -> None:
    limit = ("--set", "gate.top1_drop_max=0.001")
    ran = edgekit("quantize", "-r", "recipe.yaml", *limit, "--out", "out", cwd=home)
    assert ran.code == 3
    assert "INCONCLUSIVE  4 of 5" in ran.stdout
    assert "across the limit (30 labelled samples; about " in ran.stdout


def test_quiet_keeps_warnings_only(home: Path) -> None:
    write_arrays(home, rows=20)
    arguments = ("quantize", "-r", "recipe.yaml", "--out", "out", "--force")
    edgekit(*arguments, cwd=home)
    ran = edgekit(*arguments, "-q", cwd=home)  # cached: without -q that would be noted
    assert ran.code == 0
    assert ran.stderr.startswith("warning: count.few")
    assert len(ran.stderr.splitlines()) == 1


def test_the_folder_is_named_by_recipe_and_time_unless_given(home: Path) -> None:
    ran = edgekit("quantize", "-r", "recipe.yaml", cwd=home)
    (folder,) = (home / "runs" / "tiny").iterdir()
    assert ran.stdout.splitlines()[-1] == f"runs/tiny/{folder.name}/"


def test_on_a_narrow_screen(home: Path) -> None:
    ran = edgekit("quantize", "-r", "recipe.yaml", "--out", "out", cwd=home, env={"COLUMNS": "40"})
    assert ran.code == 0
    assert max(map(len, ran.stdout.splitlines())) == 40
    assert "…" not in ran.stdout


# What it refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mobilenet_int8",), ("a recipe of that name", "--recipe mobilenet_int8")),
        ((), ("nothing to quantize", "--recipe NAME or a MODEL", "edgekit recipes list")),
        (("-r", "mobilenet_int9"), ("no recipe 'mobilenet_int9'", "mobilenet_int8")),
        (("-r", "recipe.yaml", "net.tflite"), ("not both", "edgekit init net.tflite")),
        (("-r", "recipe.yaml", "--data", "photos"), ("--data describes a MODEL", "--set")),
        (("-r", "recipe.yaml", "--normalize", "unit"), ("--normalize describes a MODEL",)),
        (("-r", "recipe.yaml", "--input-shape", "1,3"), ("--input-shape describes a MODEL",)),
        (("net.tflite",), ("how pixels become", "--normalize imagenet")),
        (("net.tflite", "--normalize", "caffe"), ("'caffe' is not one of", "'signed'")),
        (("net.tflite", "--input-shape", "0,3"), ("'0,3' is no shape",)),
        (("-r", "recipe.yaml", "--recipes"), ("no option '--recipes'", "'--recipe'")),
        (("-r", "recipe.yaml", "--set", "gate"), ("gate", "KEY=VALUE")),
        (("-r", "recipe.yaml", "--set", "quantize.methd=x"), ("quantize.methd", "method")),
        (("-r", "missing.yaml"), ("there is no recipe file missing.yaml",)),
        (("-r", "recipe.yaml", "--out", "data.npz"), ("data.npz is a file", "--out")),
        (("-r", "recipe.yaml", "--out", "photos"), ("already holds files", "--force")),
        (("-r", "recipe.yaml", "--out", "/proc/run"), ("cannot write the run to /proc/run",)),
        (("-r", "recipe.yaml", "--out", "."), ("working folder", "/run")),
        (("-r", "recipe.yaml", "--out", ".", "--force"), ("working folder", "/run")),
    ],
)
def test_wrong_usage(home: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    write_photos(home, count=2)
    before = sorted(path.name for path in home.iterdir())
    refused(edgekit("quantize", *arguments, cwd=home), 2, *words)
    assert sorted(path.name for path in home.iterdir()) == before


# A model instead of a recipe --------------------------------------------------------------------


def test_a_model_with_its_data(home: Path) -> None:
    model = home / "elsewhere" / "net.tflite"
    model.parent.mkdir()
    model.write_bytes(models.float_model())
    ran = edgekit("quantize", model, "--data", "data.npz", "--out", "out", cwd=home)
    assert ran.code == 0
    assert ran.stderr.splitlines()[:2] == [
        "assumed: input x [1, 4, 4, 3] is NHWC, as .tflite models are",
        "assumed: output scores holds the scores of 5 classes",
    ]
    assert ran.stdout.startswith("net_int8 by litert_static")


def test_a_model_with_its_photos(home: Path) -> None:
    write_photos(home, classes=5)
    ran = edgekit(
        *("quantize", "net.tflite", "--data", "photos", "--normalize", "signed"),
        *("--set", "gate.agreement_min=0.5", "--out", "out", "--json"),
        cwd=home,
    )
    assert ran.code == 0
    assert json.loads(ran.stdout)["fidelity"]["n"] == 12
    assert "assumed: images: shorter side to 5, then the centre 4 x 4" in ran.stderr


def test_quiet_says_its_assumptions_all_the_same(home: Path) -> None:
    """They are what the figures stand on."""
    ran = edgekit("quantize", "net.tflite", "--data", "data.npz", "-q", "--out", "out", cwd=home)
    assert "assumed: output scores" in ran.stderr


def test_a_quantized_model_is_refused(home: Path) -> None:
    write_model(home, models.int8_model())
    ran = edgekit("quantize", "net.tflite", "--data", "data.npz", "--out", "out", cwd=home)
    refused(ran, 2, "net.tflite is quantized already", "Start from the float model")
    assert not (home / "out").exists()
