from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgekit.cli.recipes import recipes
from edgekit.errors import RecipeError
from edgekit.recipe.load import load_recipe, shipped_recipes
from edgekit.recipe.yaml_source import parse_yaml

DATA = Path(__file__).parents[1] / "recipe" / "data"
VALID = str(DATA / "valid.yaml")


def run(*args: str) -> Result:
    return CliRunner().invoke(recipes, args)


def ok(*args: str) -> str:
    result = run(*args)
    assert result.exception is None, result.exception
    assert result.exit_code == 0
    return result.stdout


def test_list_names_every_shipped_recipe_in_plain_aligned_lines() -> None:
    lines = ok("list").splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped_recipes())
    assert "\t" not in "".join(lines)
    methods = {name: load_recipe(name).quantize.method for name in shipped_recipes()}
    column = lines[0].index("litert_static")
    assert all(line[column:].split()[0] == methods[line.split()[0]] for line in lines)


def test_list_as_json() -> None:
    rows = json.loads(ok("list", "--json"))
    assert {row["name"] for row in rows} == set(shipped_recipes())
    assert set(rows[0]) == {"name", "method", "model", "summary"}


def test_show_prints_the_file_as_written() -> None:
    assert ok("show", VALID) == Path(VALID).read_text()
    assert ok("show", "mobilenet_int8") == shipped_recipes()["mobilenet_int8"].read_text()


def test_show_resolved_prints_a_recipe_that_loads_equal(tmp_path: Path) -> None:
    file = tmp_path / "copy.yaml"
    file.write_text(ok("show", VALID, "--resolved"))
    assert load_recipe(str(file)) == load_recipe(VALID)


def test_show_with_an_override_is_resolved() -> None:
    text = ok("show", VALID, "--set", "calibration.samples=7", "--set", "quantize.seed=3")
    value = parse_yaml(text, "f").value
    assert value["calibration"]["samples"] == 7
    assert value["quantize"]["seed"] == 3
    assert value["latency"]["rounds"] == 20


def test_show_as_json() -> None:
    value = json.loads(ok("show", VALID, "--json"))
    assert value["model"]["inputs"][0]["shape"] == [1, 3, 224, 224]
    assert "origin" not in value


def test_show_of_an_unknown_name_suggests_one() -> None:
    error = run("show", "mobilnet_int8").exception
    assert isinstance(error, RecipeError)
    assert error.hint == "did you mean 'mobilenet_int8'?"


def test_show_of_a_binary_file(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\x00")
    assert isinstance(run("show", str(tmp_path / "b.yaml")).exception, RecipeError)


def test_validate_says_ok_for_each() -> None:
    assert ok("validate", VALID, "mobilenet_int8") == f"ok  {VALID}\nok  mobilenet_int8\n"


def test_validate_tells_every_problem_of_every_file() -> None:
    bad, worse = str(DATA / "wrong_values.yaml"), str(DATA / "syntax_tab.yaml")
    result = run("validate", bad, VALID, worse)
    assert result.stdout == f"ok  {VALID}\n"
    error = result.exception
    assert isinstance(error, RecipeError)
    assert error.exit_code == 2
    assert error.message == "14 problems in 2 of 3 recipes"
    assert {problem.where.file for problem in error.problems if problem.where} == {bad, worse}


def test_validate_as_json_reports_places() -> None:
    file = str(DATA / "weights_not_pinned.yaml")
    result = run("validate", VALID, file, "--json")
    assert result.exit_code == 2
    good, bad = json.loads(result.stdout)
    assert good == {"recipe": VALID, "valid": True, "problems": []}
    (problem,) = bad["problems"]
    assert (problem["file"], problem["line"], problem["key"]) == (file, 2, "model.sha256")


def test_validate_applies_overrides() -> None:
    error = run("validate", VALID, "--set", "gate.agrement_min=0.9").exception
    assert isinstance(error, RecipeError)
    assert error.problems[0].hint == "did you mean 'agreement_min'?"


@pytest.mark.parametrize("command", ["list", "show", "validate"])
def test_help_names_the_json_option(command: str) -> None:
    assert "--json" in ok(command, "--help")
