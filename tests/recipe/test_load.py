from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import RecipeError
from edgekit.recipe.dump import recipe_to_dict
from edgekit.recipe.load import find_recipe, load_recipe, shipped_recipes

DATA = Path(__file__).parent / "data"
VALID = str(DATA / "valid.yaml")
ROOT = Path(__file__).parents[2]


def test_a_recipe_becomes_values_of_the_schema() -> None:
    recipe = load_recipe(VALID)
    assert recipe.name == "valid"
    assert recipe.model.inputs[0].shape == (1, 3, 224, 224)
    assert recipe.model.inputs[0].dtype == "float32"
    assert recipe.model.factory_args == {"width": 0.5, "stages": [1, 2]}
    assert recipe.preprocess.resize is not None
    assert recipe.preprocess.resize.filter == "bilinear"
    assert recipe.preprocess.divisor == 255.0
    assert isinstance(recipe.gate.speedup_min, float)
    assert recipe.gate.top1_drop_max is None
    assert recipe.origin == Path(VALID)


def test_relative_paths_belong_to_the_file_that_wrote_them(tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path / "base")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "photos").mkdir()
    (tmp_path / "own" / "best.pth").touch()
    child = tmp_path / "own" / "child.yaml"
    child.write_text(
        "extends: ../base/valid.yaml\n"
        "model: {weights: 'file:best.pth'}\n"
        "calibration: {dataset: photos}\n"
    )
    recipe = load_recipe(str(child))
    assert recipe.name == "child"
    assert recipe.model.factory == f"{tmp_path}/base/net.py:make"
    assert recipe.model.weights == (f"file:{tmp_path}/own/best.pth",)
    assert recipe.calibration.dataset == f"{tmp_path}/own/photos"
    assert recipe.evaluate.dataset == f"{tmp_path}/base/photos"


def test_a_relative_path_in_an_override_belongs_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(VALID, ["calibration.dataset=here"])
    assert recipe.calibration.dataset == str(tmp_path / "here")


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text(
        f"extends: {VALID}\n"
        "model: {outputs: [a, b], factory_args: {depth: 2}}\n"
        "gate: {agreement_min: 0.5, speedup_min: null}\n"
    )
    recipe = load_recipe(str(child))
    assert recipe.model.outputs == ("a", "b")
    assert recipe.model.factory_args == {"width": 0.5, "stages": [1, 2], "depth": 2}
    assert recipe.gate.agreement_min == 0.5
    assert recipe.gate.size_ratio_max == 0.295
    assert recipe.gate.speedup_min is None


def test_a_chain_of_extends_has_an_end(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    with pytest.raises(RecipeError, match="more than 8") as caught:
        load_recipe(str(tmp_path / "0.yaml"))
    assert caught.value.where is not None
    assert caught.value.where.file.endswith("8.yaml")


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("calibration.samples=7", ("calibration", "samples"), 7),
        ("quantize.estimator=minmax", ("quantize", "estimator"), "minmax"),
        ("gate.agreement_min=", ("gate", "agreement_min"), None),
        ("latency={threads: 2, rounds: 3}", ("latency", "rounds"), 3),
        ("latency={threads: 2}", ("latency", "rounds"), 20),
        ("preprocess.mean=0.5", ("preprocess", "mean"), [0.5]),
        (" summary =a = b", ("summary",), "a = b"),
        ("name=other", ("name",), "other"),
        ("model.labels.source=" + str(DATA / "net.py"), ("model", "labels", "sha256"), None),
    ],
)
def test_an_override_sets_one_key(setting: str, path: tuple[str, ...], value: object) -> None:
    found = recipe_to_dict(load_recipe(VALID, [setting]))
    for key in path:
        found = found[key]
    assert found == value


def test_the_last_override_wins() -> None:
    recipe = load_recipe(VALID, ["quantize.seed=1", "quantize.seed=2"])
    assert recipe.quantize.seed == 2


def test_an_item_of_a_list_can_be_overridden() -> None:
    settings = [
        "model.inputs[0].shape=[1, 3, 96, 96]",
        "preprocess.crop={width: 96, height: 96}",
        "preprocess.std[1]=0.5",
    ]
    recipe = load_recipe(VALID, settings)
    assert recipe.model.inputs[0].shape == (1, 3, 96, 96)
    assert recipe.preprocess.std == (0.229, 0.5, 0.225)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("quantize.metod=x", "quantize.metod: unknown key\n    did you mean 'method'?"),
        ("samples=3", "did you mean 'calibration.samples' or 'evaluate.samples'"),
        ("quantize.seed=a", "quantize.seed: expected a whole number, not the text 'a'"),
        ("quantize.seed=[", "not valid YAML"),
        ("quantize.seed", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("model..file=3", "expected KEY=VALUE"),
        ("model.weights.first=3", "is a list; give an item's number"),
        ("model.weights[4]=3", "there is no item 4; the list has 1"),
        ("model[0]=3", "model: is not a list"),
        ("calibration.samples.most=3", "calibration.samples: has no keys, so no 'most'"),
        ("extends=mobilenet_int8", "extends: cannot be overridden"),
        ("schema=7", "this edgekit reads recipes of schema 1, not 7"),
    ],
)
def test_a_wrong_override_is_quoted(setting: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(VALID, [setting])
    assert f"--set {setting}" in str(caught.value)
    assert expected in str(caught.value)


def test_a_shipped_name_wins_over_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mobilenet_int8").write_text("schema: 1\n")
    Path("mine.yaml").write_text("schema: 1\n")
    assert find_recipe("mobilenet_int8") == shipped_recipes()["mobilenet_int8"]
    assert find_recipe("./mobilenet_int8") == Path("mobilenet_int8")
    with pytest.raises(RecipeError, match=r"write \./mine\.yaml"):
        find_recipe("mine")


@pytest.mark.parametrize("name", ["", "\0", "a\0.yaml", "~nobody/x.yaml", "x" * 5000, "x/" * 3000])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(name)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_are_valid_and_named_like_their_files(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    gate = recipe.gate
    assert gate.agreement_min is not None or gate.sqnr_db_min is not None


def test_loading_stays_light_and_works_from_anywhere(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from edgekit.recipe.load import load_recipe\n"
        "load_recipe('mobilenet_int8')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"torch", "tensorflow", "PIL", "scipy", "rich", "ai_edge_litert", "ai_edge_quantizer"}
    assert heavy.isdisjoint(done.stdout.split())
    assert "yaml" in done.stdout.split()
