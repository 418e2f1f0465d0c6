"""Whole runs through the public function, on a network that takes microseconds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.cache import Cache
from edgekit.errors import ConversionError, DataError, OutputError, SessionError, SourceError
from edgekit.gate.check import Verdict
from edgekit.methods import litert_build
from edgekit.progress import SilentProgress
from edgekit.report import Report
from edgekit.runtimes import open_session
from edgekit.runtimes.quantized_io import dequantize
from edgekit.types import QuantParams
from tests import tflite_models as models
from tests.tiny_runs import IMAGES, write_arrays, write_model, write_photos, write_recipe


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_model(tmp_path)
    write_arrays(tmp_path)
    return tmp_path


class Words(SilentProgress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def run(home: Path, *changes: dict[str, Any], out: str = "out", **options: Any) -> Report:
    options.setdefault("cache", Cache(home / "cache"))
    recipe = write_recipe(home, *changes)
    return edgekit.quantize(str(recipe), out=home / out, **options)


def read(home: Path, name: str, out: str = "out") -> Any:
    return json.loads((home / out / name).read_text(encoding="utf-8"))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# A run, whole -----------------------------------------------------------------------------------


def test_classification(home: Path) -> None:
    report = run(home)
    assert (report.verdict, report.exit_code) == (Verdict.PASS, 0)
    assert report.fidelity.n == 25
    assert report.fidelity.agreement is not None
    assert report.fidelity.agreement >= 0.95
    assert report.fidelity.sqnr_db > 25
    assert report.accuracy["top1"].float == 1.0  # labelled by the float network
    assert report.accuracy["top1"].n == 30  # all of the eval role, not 25
    assert report.facts.int8_mac_fraction == 1.0
    assert report.size.float_bytes == (home / "net.tflite").stat().st_size
    assert report.size.bytes == (home / "out" / "model.tflite").stat().st_size
    assert report.folder == home / "out"
    assert sorted(path.name for path in (home / "out").iterdir()) == [
        "contract.json",
        "evidence.json",
        "junit.xml",
        "manifest.json",
        "model.float.tflite",
        "model.tflite",
        "report.html",
        "report.json",
        "report.md",
    ]
    assert read(home, "report.json") == json.loads(json.dumps(report.to_dict()))
    assert [stage["name"] for stage in read(home, "report.json")["stages"]] == [
        "locate",
        "data",
        "quantize",
        "metadata",
        "inspect",
        "reference",
        "fidelity",
        "latency",
        "layers",
    ]


def test_tensors(home: Path) -> None:
    report = run(
        home,
        {"evaluate": {"task": "tensors"}, "gate": {"agreement_min": None, "sqnr_db_min": 20}},
    )
    assert report.verdict is Verdict.PASS
    assert report.fidelity.agreement is None
    assert report.accuracy == {}
    assert read(home, "contract.json")["meaning"]["task"] == "tensors"


def test_images_from_folders_of_classes(home: Path) -> None:
    write_photos(home, classes=models.CLASSES)
    report = run(home, IMAGES, {"gate": {"agreement_min": 0.5}})
    assert report.verdict is Verdict.PASS
    assert (report.fidelity.n, report.accuracy["top1"].n) == (12, 12)
    (entry,) = read(home, "contract.json")["inputs"]
    assert [step["op"] for step in entry["preprocess"]] == [
        "decode",
        "resize",
        "centre_crop",
        "normalise",
        "layout",
    ]


def test_two_outputs_and_the_recipes_first_is_the_primary(home: Path) -> None:
    write_model(home, models.two_output_model())
    report = run(
        home,
        {
            "model": {"outputs": ["hidden", "scores"]},
            "evaluate": {"task": "tensors"},
            "gate": {"agreement_min": None},
        },
    )
    assert list(report.fidelity.outputs) == ["hidden", "scores"]
    assert report.fidelity.sqnr_db == report.fidelity.outputs["hidden"].sqnr_db
    assert report.fidelity.sqnr_db != report.fidelity.outputs["scores"].sqnr_db
    contract = read(home, "contract.json")
    assert contract["meaning"]["primary_output"] == "hidden"
    assert [output["name"] for output in contract["outputs"]] == ["hidden", "scores"]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_the_types_of_input_and_output(home: Path, dtype: str) -> None:
    report = run(home, {"quantize": {"input_dtype": dtype, "output_dtype": dtype}})
    assert report.verdict is Verdict.PASS
    document = read(home, "report.json")["artefact"]
    assert (document["input_dtype"], document["output_dtype"]) == (dtype, dtype)
    contract = read(home, "contract.json")
    for end in (*contract["inputs"], *contract["outputs"]):
        assert end["dtype"] == dtype
        assert (end["scale"] is None) is (dtype == "float32")
    with open_session(home / "out" / "model.tflite") as session:
        assert session.info.inputs[0].dtype == dtype


# What stands in the folder ----------------------------------------------------------------------


def test_the_contract_is_all_that_is_needed_to_run_the_artefact(home: Path) -> None:
    run(home)
    contract = read(home, "contract.json")
    (given,), (answer,) = contract["inputs"], contract["outputs"]
    assert (given["name"], given["shape"], given["layout"]) == ("x", [1, 4, 4, 3], "NHWC")
    x = np.random.default_rng(9).uniform(-1, 1, given["shape"]).astype(np.float32)
    assert contract["quantization"]["to_stored"].startswith("clip(round_half_even(real / scale)")
    stored = np.clip(np.rint(x / given["scale"]) + given["zero_point"], -128, 127).astype(np.int8)
    with open_session(home / "out" / "model.tflite") as session:
        found = session.run({given["name"]: stored})[answer["name"]]
    real = dequantize(found, QuantParams(answer["scale"], answer["zero_point"]))
    np.testing.assert_allclose(real, models.reference(x, models.weights()), atol=0.1)


def test_the_manifest_hashes_what_went_in_and_what_came_out(home: Path) -> None:
    (home / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    report = run(home, {"model": {"labels": {"source": "file:labels.txt"}}})
    manifest = read(home, "manifest.json")
    out = home / "out"
    assert (out / "labels.txt").read_text() == "a\nb\nc\nd\ne\n"
    assert read(home, "contract.json")["meaning"]["labels"] == "labels.txt"
    assert {name: entry["sha256"] for name, entry in manifest["outputs"].items()} == {
        path.name: sha256(path) for path in out.iterdir() if path.name != "manifest.json"
    }
    assert {role: entry["sha256"] for role, entry in manifest["inputs"].items()} == {
        "model": sha256(home / "net.tflite"),
        "labels": sha256(home / "labels.txt"),
    }
    assert manifest["outputs"]["model.tflite"]["bytes"] == report.size.bytes
    assert manifest["recipe"]["evaluate"]["samples"] == 25
    assert manifest["seed"] == 0
    assert manifest["tools"]["ai-edge-quantizer"]
    assert [stage["name"] for stage in manifest["stages"]] == [s.name for s in report.stages]
    used = {use: set(entry["images"].values()) for use, entry in manifest["data"].items()}
    assert {use: len(images) for use, images in used.items()} == {
        "calibration": 40,
        "fidelity": 25,
        "labelled": 30,
    }
    assert used["fidelity"] <= used["labelled"]
    assert not used["calibration"] & used["labelled"]


def test_the_evaluation_never_sees_a_calibration_image(home: Path) -> None:
    photos = write_photos(home)
    for name in sorted(photos.iterdir())[:10]:  # the same picture under two names
        (photos / f"copy_{name.name}").write_bytes(name.read_bytes())
    run(home, IMAGES, {"gate": {"agreement_min": 0.5}})
    data = read(home, "manifest.json")["data"]
    calibration = set(data["calibration"]["images"].values())
    assert calibration
    assert not calibration & set(data["fidelity"]["images"].values())


def test_wrong_labels_are_said_and_nothing_is_left(home: Path) -> None:
    labels = {"model": {"labels": {"source": "file:labels.txt"}}}
    (home / "labels.txt").write_text("background\na\nb\nc\nd\ne\n")
    with pytest.raises(DataError, match="6 labels for a model with 5 classes"):
        run(home, labels)
    (home / "labels.txt").write_bytes(b"\xff\xff")
    words = Words()
    with pytest.raises(DataError, match="not UTF-8"):
        run(home, labels, cache=Cache(home / "fresh"), progress=words)
    assert not (home / "fresh" / "statistics").exists()  # before any work was done
    assert not (home / "out").exists()


# The verdict ------------------------------------------------------------------------------------


def test_a_failing_gate_is_a_finished_run(home: Path) -> None:
    report = run(home, {"gate": {"size_ratio_max": 0.01}})
    assert (report.verdict, report.exit_code) == (Verdict.FAIL, 1)
    assert read(home, "report.json")["verdict"] == "fail"
    assert (home / "out" / "model.tflite").exists()


def test_a_gate_that_cannot_decide(home: Path) -> None:
    report = run(home, {"gate": {"top1_drop_max": 0.001}})
    assert (report.verdict, report.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert any("top-1 on 30 labelled samples is no proof" in note for note in report.notes)


def test_what_qualifies_the_figures_is_noted(home: Path) -> None:
    write_arrays(home, labelled=False)
    words = Words()
    report = run(home, {"evaluate": {"samples": 400}}, progress=words)
    assert report.notes[:2] == (
        "compared on 30 samples, all that data.npz has; evaluate.samples asks for 400",
        "the evaluation data has no labels: accuracy is not scored",
    )
    assert report.accuracy == {}
    write_arrays(home, rows=20)
    report = run(home, out="few", progress=words)
    assert any(note.startswith("count.few") for note in report.notes)
    assert any(warning.startswith("count.few") for warning in words.warnings)


def test_targets_are_scored_and_so_is_a_metric_of_ones_own(home: Path) -> None:
    with np.load(home / "data.npz") as arrays:
        x = arrays["x"]
    np.savez(home / "data.npz", x=x, targets=models.reference(x, models.weights()))
    (home / "mine.py").write_text(
        "def worst(outputs, targets):\n    return abs(outputs - targets).max(axis=1)\n"
    )
    evaluate = {
        "task": "regression",
        "metrics": ["mae", "rmse", "cosine"],
        "metric": "mine.py:worst",
        "metric_good": "lower",
    }
    report = run(home, {"evaluate": evaluate, "gate": None})
    found = read(home, "report.json")["accuracy"]
    assert list(found) == ["mae", "rmse", "cosine", "worst"]
    assert found["mae"]["float"] < 1e-5 < found["mae"]["quantized"] < found["worst"]["quantized"]
    assert all(each["ci_low"] <= each["drop"] <= each["ci_high"] for each in found.values())
    assert report.accuracy["rmse"].at(0.8).ci_low > 0


def test_scores_that_are_asked_for_need_something_to_score_against(home: Path) -> None:
    write_arrays(home, labelled=False)
    with pytest.raises(DataError, match="asks for scores, but data"):
        run(home, {"evaluate": {"metrics": ["recall"]}})


def test_latency_may_be_left_out(home: Path) -> None:
    report = run(home, {"latency": {"enabled": False}})
    assert read(home, "report.json")["latency"]["host"]["measured"] is False
    assert "latency" not in [stage.name for stage in report.stages]


# Again ------------------------------------------------------------------------------------------


def test_a_second_run_reuses_what_the_first_made_and_says_so(home: Path) -> None:
    first, words = run(home), Words()
    assert not any(stage.cached for stage in first.stages)
    second = run(home, out="again", progress=words)
    assert {stage.name for stage in second.stages if stage.cached} == {"quantize", "reference"}
    assert words.notes == [
        "calibration statistics: taken from the cache",
        "reference: taken from the cache",
    ]
    assert sha256(home / "again" / "model.tflite") == sha256(home / "out" / "model.tflite")
    assert second.fidelity == first.fidelity
    assert second.accuracy == first.accuracy


def test_two_runs_without_a_cache_give_the_same_bytes(home: Path) -> None:
    (home / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    labels = {"model": {"labels": {"source": "file:labels.txt"}}}
    for out in ("out", "again"):
        report = run(home, labels, out=out, cache=Cache(enabled=False))
        assert not any(stage.cached for stage in report.stages)
    for name in ("model.tflite", "model.float.tflite", "contract.json", "labels.txt"):
        assert sha256(home / "again" / name) == sha256(home / "out" / name)


@pytest.mark.parametrize(
    ("change", "cached"),
    [
        ({"gate": {"agreement_min": 0.5}}, {"quantize", "reference"}),
        ({"quantize": {"input_dtype": "uint8"}}, {"quantize", "reference"}),
        ({"calibration": {"samples": 30}}, {"reference"}),
        ({"evaluate": {"samples": 20}}, {"quantize"}),
    ],
)
def test_what_changed_is_made_anew(home: Path, change: dict[str, Any], cached: set[str]) -> None:
    run(home)
    report = run(home, change, out="again")
    assert {stage.name for stage in report.stages if stage.cached} == cached


def test_another_model_of_the_same_name_is_not_mistaken_for_it(home: Path) -> None:
    first = run(home)
    write_model(home, models.float_model(seed=1))
    second = run(home, out="again")
    assert not any(stage.cached for stage in second.stages)
    assert first.fidelity != second.fidelity


def test_a_recipe_object_and_the_default_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = edgekit.load_recipe(str(write_recipe(home)))
    monkeypatch.chdir(home)
    report = edgekit.quantize(recipe, cache=Cache(home / "cache"))
    assert report.folder.parent == Path("runs/tiny")
    assert (home / report.folder / "manifest.json").exists()


def test_an_existing_run_is_kept_unless_forced(home: Path) -> None:
    run(home)
    before = sha256(home / "out" / "manifest.json")
    with pytest.raises(OutputError, match="already holds files"):
        run(home)
    np.savez(home / "nan.npz", x=np.full((100, *models.INPUT_SHAPE[1:]), np.nan, np.float32))
    with pytest.raises(DataError, match="NaN"):
        run(home, {"calibration": {"dataset": "nan.npz"}}, force=True)
    assert sha256(home / "out" / "manifest.json") == before
    run(home, force=True)
    assert sha256(home / "out" / "manifest.json") != before


# A run that cannot be finished ------------------------------------------------------------------


def test_a_model_that_crashes_its_runtime_is_survived_and_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new artefact's first run is in a child, so that its crash is a sentence here."""
    graph = models.Graph()
    x, y = (graph.tensor(name, models.INPUT_SHAPE) for name in ("x", "scores"))
    table = "LocalResponseNormalizationOptions"
    graph.operator("LOCAL_RESPONSE_NORMALIZATION", [x], [y], table=table, radius=-5)
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    crashing = models.write([graph], {"serving_default": 0})
    monkeypatch.setattr(litert_build, "_run_engine", lambda *_: crashing)
    with pytest.raises(SessionError, match=r"crashed .* model\.tflite"):
        run(home)
    assert not (home / "out").exists()


def test_a_network_the_engine_refuses(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(engine: object, **settings: object) -> None:
        raise ValueError("no such recipe")

    monkeypatch.setattr("edgekit.methods.litert_build._configure", refuse)
    with pytest.raises(ConversionError, match=r"ai-edge-quantizer refused .* no such") as caught:
        run(home)
    assert caught.value.exit_code == 1
    assert not (home / "out").exists()


def test_one_signature_of_two(home: Path) -> None:
    """The engine takes files of one signature only; labels were made by the network of "first"."""
    write_model(home, models.two_signature_model())
    report = run(home, {"model": {"signature": "first"}})
    assert report.accuracy["top1"].float == 1.0
    assert run(home, {"model": {"signature": "second"}}, force=True).accuracy["top1"].float < 0.9


def test_a_model_that_exits_while_it_runs_does_not_end_the_caller(home: Path) -> None:
    (home / "net.py").write_text(
        "import sys, torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.dense = torch.nn.Linear(3, 2)\n"
        "    def forward(self, x):\n"
        "        sys.exit(0)\n"
    )
    model = {
        "framework": "pytorch",
        "file": None,
        "factory": "net.py:Net",
        "inputs": [{"name": "x", "shape": [1, 4, 4, 3], "layout": "NHWC"}],
    }
    with pytest.raises(SourceError, match=r"the model's own code called sys.exit\(0\)") as caught:
        run(home, {"model": model, "quantize": {"method": "dynamic"}})
    assert f"at {home / 'net.py'}:7;" in (caught.value.hint or "")
    assert not (home / "out").exists()
