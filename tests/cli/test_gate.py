"""``edgekit gate``: files from anywhere, the verdict a run gives, never a pass by accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.damage.files import damaged
from edgekit.tflite.flatbuffer import pack, unpack
from tests import tflite_models as models
from tests.cli.commands import Ran, edgekit, refused
from tests.int8_models import quantized
from tests.tiny_runs import write_arrays, write_model, write_recipe


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipe.yaml, its model and data, and a finished run in ``run``."""
    folder = tmp_path_factory.mktemp("gate")
    write_model(folder)
    write_arrays(folder)
    write_recipe(folder, {"gate": {"size_ratio_max": 2.0, "sqnr_db_min": 10}})
    assert edgekit("quantize", "-r", "recipe.yaml", "--out", "run", cwd=folder).code == 0
    return folder


def gate(home: Path, model: str, *more: str) -> Ran:
    return edgekit("gate", model, "-r", "recipe.yaml", *more, cwd=home)


def judged(home: Path, model: str, *more: str) -> dict[str, Any]:
    ran = gate(home, model, "--out", "judged", "--force", "--json", *more)
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found["exit_code"] == ran.code
    return found


def named(data: bytes, **names: str) -> bytes:
    """``data`` with other names in its signature."""
    model = unpack(data)
    (signature,) = model.signatureDefs
    for end in (*signature.inputs, *signature.outputs):
        end.name = names.get(end.name.decode(), end.name.decode())
    return pack(model)


def write(home: Path, name: str, data: bytes) -> str:
    (home / name).write_bytes(data)
    return name


@pytest.mark.parametrize("model", ["run", "run/model.tflite"])
def test_what_a_run_made_is_judged_as_the_run_judged_it(home: Path, model: str) -> None:
    run = json.loads((home / "run" / "report.json").read_text())
    found = judged(home, model)
    for key in ("recipe", "verdict", "size", "fidelity", "accuracy", "checks", "data", "bridges"):
        assert found[key] == run[key], key
    assert found["method"] == ("litert_static" if model == "run" else "given")
    kept, shipped = (home / folder / "model.tflite" for folder in ("judged", "run"))
    assert kept.read_bytes() == shipped.read_bytes()
    contracts = [(home / f / "contract.json").read_text() for f in ("judged", "run")]
    assert contracts[0] == contracts[1]


@pytest.mark.parametrize("model", ["modules", "modules/model.tflite"])
def test_layers_that_the_recipe_leaves_float_are_no_fault(home: Path, model: str) -> None:
    rule = ("--set", "quantize.modules=[{name: hidden, method: float}]")
    if not (home / "modules").exists():
        made = ("quantize", "-r", "recipe.yaml", *rule, "--out", "modules")
        assert edgekit(*made, cwd=home).code == 0
    found = judged(home, model, *rule)
    run = json.loads((home / "modules" / "report.json").read_text())
    assert found["checks"] == run["checks"]
    assert found["artefact"]["float_ops"] == run["artefact"]["float_ops"] != []


def test_a_run_folder_answers_only_for_the_file_that_it_made(home: Path) -> None:
    shutil.copytree(home / "run", home / "changed")
    (home / "changed" / "model.tflite").write_bytes((home / "net.tflite").read_bytes())
    found = judged(home, "changed")
    assert (found["method"], found["verdict"]) == ("given", "fail")


def test_ends_of_other_names_are_matched_and_told(home: Path) -> None:
    other = named((home / "run" / "model.tflite").read_bytes(), x="inputs", scores="output_0")
    run = json.loads((home / "run" / "report.json").read_text())
    found = judged(home, write(home, "other.tflite", other))
    assert found["fidelity"] == run["fidelity"]
    assert found["verdict"] == "pass"
    assert "what the file calls output_0 is compared as scores" in found["notes"]
    assert not (home / "judged" / "contract.json").exists()  # which would speak of other names
    assert (home / "judged" / "model.tflite").read_bytes() == other


def test_another_networks_file_fails(home: Path) -> None:
    found = judged(home, write(home, "wrong.tflite", quantized(models.float_model(seed=1))))
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)
    failed = [check["name"] for check in found["checks"] if check["status"] == "fail"]
    assert "fidelity.sqnr_db" in failed


def test_a_float_file_is_no_full_integer_one(home: Path) -> None:
    found = judged(home, "net.tflite")
    failed = {check["name"] for check in found["checks"] if check["status"] == "fail"}
    assert {"artefact.input_dtype", "artefact.full_integer"} <= failed


def test_outputs_that_are_not_the_models_are_refused_by_name(home: Path) -> None:
    wrong = write(home, "two.tflite", named(models.two_output_model(), scores="other"))
    ran = gate(home, wrong, "--out", "none")
    refused(ran, 1, "the file's outputs are", "the model's are scores")
    assert not (home / "none").exists()


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (models.crashing_model((1, 4, 4, 3)), 1, "crash"),
        (models.refused_model(), 1, "cannot be loaded"),
        (models.corrupt_model(), 1, "cannot be loaded"),
        (b"no model at all", 1, "cannot be loaded"),
        (b"", 2, "is empty"),
    ],
)
def test_a_file_that_is_no_sound_model_never_passes(
    home: Path, data: bytes, code: int, words: str
) -> None:
    refused(gate(home, write(home, "bad.tflite", data), "--out", "none"), code, words)
    assert not (home / "none").exists()


def test_what_is_not_there_or_no_model_is_wrong_usage(home: Path) -> None:
    refused(gate(home, "nowhere.tflite"), 2, "nowhere.tflite")
    (home / "empty").mkdir(exist_ok=True)
    refused(gate(home, "empty"), 2, "is no run folder")
    refused(gate(home, "recipe.yaml"), 2, "recipe.yaml is no .tflite")
    write(home, "program.pt2", b"PK\x03\x04")
    refused(gate(home, "program.pt2"), 2, "judges .tflite and .onnx")


def test_the_last_release_is_no_worse(home: Path) -> None:
    found = judged(home, "run", "--baseline", "run/report.json")
    checks = {check["name"]: check["status"] for check in found["checks"]}
    assert found["verdict"] == "pass"
    assert checks["baseline.agreement"] == checks["baseline.sqnr_db"] == "pass"
    wrong = write(home, "wrong.tflite", quantized(models.float_model(seed=1)))
    worse = judged(home, wrong, "--baseline", "run", "--set", "gate.sqnr_db_min=-50")
    checks = {check["name"]: check["status"] for check in worse["checks"]}
    assert (worse["verdict"], checks["baseline.sqnr_db"]) == ("fail", "fail")


def test_what_is_no_baseline_is_refused_before_any_work(home: Path) -> None:
    refused(gate(home, "run", "--baseline", "nowhere.json"), 2, "nowhere.json")
    refused(gate(home, "run", "--baseline", "recipe.yaml"), 2, "not JSON")
    data = ("--set", "evaluate.samples=20")
    ran = gate(home, "run", "--baseline", "run", *data, "--out", "none")
    refused(ran, 2, "samples of fidelity differ")
    assert not (home / "none").exists()


def test_few_labels_are_inconclusive(home: Path) -> None:
    ran = gate(home, "run", "--set", "gate.top1_drop_max=0.001", "--out", "few", "--force")
    assert ran.code == 3
    assert "INCONCLUSIVE" in ran.stdout


def test_swapped_labels_fail_by_name(home: Path) -> None:
    swapped = damaged((home / "run" / "model.tflite").read_bytes(), "labels swapped", 0.4, seed=0)
    limits = ("--set", "gate.top1_drop_max=0.05", "--set", "gate.agreement_min=0.9")
    found = judged(home, write(home, "swapped.tflite", swapped), *limits)
    failed = {check["name"] for check in found["checks"] if check["status"] == "fail"}
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)
    assert {"fidelity.agreement", "accuracy.top1.drop"} <= failed


def test_twenty_labels_leave_one_point_open(home: Path, tmp_path: Path) -> None:
    write_model(tmp_path)
    write_arrays(tmp_path, 67)  # three in ten of them are eval
    limits = {"size_ratio_max": 2.0, "top1_drop_max": 0.01}
    write_recipe(tmp_path, {"gate": limits, "evaluate": {"samples": 20}})
    found = judged(tmp_path, str(home / "run" / "model.tflite"))
    (check,) = (each for each in found["checks"] if each["name"] == "accuracy.top1.drop")
    assert (found["verdict"], found["exit_code"]) == ("inconclusive", 3)
    assert check["status"] == "inconclusive"
    assert "20 labelled samples; about" in check["why"]
