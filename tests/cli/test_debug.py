"""``edgekit debug``: a run made here, and what is said where it cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekit as package
from edgekit import debug
from edgekit.errors import DataError
from edgekit.pipeline import quantize
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe, recipe_to_dict
from edgekit.runs.manifest import recipe_of_run
from edgekit.types import Role
from tests import tiny_runs
from tests.cli.commands import edgekit, refused
from tests.cli.terminal import run_on_terminal
from tests.tflite import graphs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny network, beside its recipe and data."""
    folder = tmp_path_factory.mktemp("debug")
    tiny_runs.write_model(folder)
    tiny_runs.write_arrays(folder)
    recipe = tiny_runs.write_recipe(folder)
    quantize(str(recipe), out=folder / "run")
    return folder / "run"


def test_the_recipe_of_a_run_is_the_one_it_was_made_by(run: Path) -> None:
    made_by = load_recipe(str(run.parent / "recipe.yaml"))
    assert recipe_to_dict(recipe_of_run(run)) == recipe_to_dict(made_by)


def test_a_table_on_stdout_and_exit_code_0(run: Path) -> None:
    ran = edgekit("debug", run, cwd=run.parent)
    assert ran.code == 0, ran
    lines = ran.stdout.splitlines()
    assert lines[0] == "tiny: all 3 layers, on 16 dev samples"
    assert lines[1].split()[:2] == ["layer", "operator"]
    assert {line.split()[0] for line in lines[2:5]} == {"serving_x", "hidden", "serving_scores"}


def test_json_alone_on_stdout(run: Path) -> None:
    ran = edgekit("debug", run, "--json", "--samples", "3", "-q", cwd=run.parent)
    assert ran.code == 0, ran
    assert ran.stderr == ""
    found = json.loads(ran.stdout)
    assert (found["recipe"], found["role"], found["samples"]) == ("tiny", "dev", 3)
    assert [each["layer"] for each in found["layers"]] == [
        "serving_x",
        "hidden",
        "serving_scores",
    ]
    assert sorted(each["rank"] for each in found["layers"]) == [1, 2, 3]


def test_two_files_and_a_recipe_give_what_the_run_gives(run: Path) -> None:
    report = package.debug_layers(run, progress=SilentProgress())
    other = package.debug_layers(
        run / "model.tflite",
        reference=run / "model.float.tflite",
        recipe=str(run.parent / "recipe.yaml"),
    )
    assert other == report
    assert report.role == "dev"


def test_calibration_samples_where_there_are_no_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Role] = []
    honest = debug.open_dataset

    def without_dev(*args: object, role: Role, **rest: object) -> object:
        opened.append(role)
        if role is Role.DEV:
            raise DataError("no image has the role dev")
        return honest(*args, role=role, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(debug, "open_dataset", without_dev)
    assert package.debug_layers(run).role == "calibration"
    assert opened == [Role.DEV, Role.CALIBRATION]


def test_the_page_is_written_and_said_so(run: Path) -> None:
    ran = edgekit("debug", run, "--html", "layers.html", cwd=run.parent)
    assert ran.code == 0, ran
    assert "note: written: layers.html" in ran.stderr
    assert (run.parent / "layers.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_breaks_no_word(run: Path, columns: int) -> None:
    program = (
        "import sys; sys.stdout = sys.stderr; from edgekit.cli.main import main; "
        f"sys.exit(main(['debug', {str(run)!r}]))"
    )
    ran = run_on_terminal(program, columns=columns)
    assert ran.code == 0, ran
    for word in ("serving_scores", "FULLY_CONNECTED"):
        assert word in ran.words


def test_what_cannot_be_compared_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = run / "model.tflite"
    float_file = run / "model.float.tflite"
    refused(edgekit("debug", "nowhere", cwd=tmp_path), 2, "there is no nowhere", "run folder")
    refused(edgekit("debug", "empty", cwd=tmp_path), 2, "no run folder", "manifest.json")
    refused(edgekit("debug", file, cwd=tmp_path), 2, "--float FLOAT.tflite is missing")
    refused(
        edgekit("debug", file, "--float", float_file, cwd=tmp_path), 2, "--recipe NAME is missing"
    )
    refused(edgekit("debug", run, "--samples", "0", cwd=tmp_path), 2, "--samples")
    refused(edgekit("debug", run, "--html", ".", cwd=tmp_path), 2, "is a directory")


def test_runs_that_hold_no_tflite_pair_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((run / "manifest.json").read_bytes())
    refused(edgekit("debug", tmp_path, cwd=run.parent), 2, "has no model.tflite")
    (tmp_path / "model.tflite").write_bytes((run / "model.tflite").read_bytes())
    refused(edgekit("debug", tmp_path, cwd=run.parent), 2, "model.float.tflite", "--float FILE")
    (tmp_path / "model.float.tflite").write_bytes(b"not a model")
    refused(edgekit("debug", tmp_path, cwd=run.parent), 2, "is not a .tflite file")
    (tmp_path / "manifest.json").write_text("{}")
    refused(edgekit("debug", tmp_path, cwd=run.parent), 2, "not a manifest of a run")


def test_a_model_of_another_network_is_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(graphs.chain())
    ran = edgekit(
        "debug", other, "--float", run / "model.float.tflite", "--recipe", "./recipe.yaml",
        cwd=run.parent,
    )  # fmt: skip
    refused(ran, 1, "no counterpart", "quantized from")
