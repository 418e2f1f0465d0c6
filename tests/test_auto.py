"""``quantize.method: auto``: whole runs of several methods on a network that takes microseconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit import pipeline, plan
from edgekit.cache import Cache
from edgekit.data.roles import RunData, open_run_data
from edgekit.errors import ConversionError, DataError, MissingError
from edgekit.gate.check import Verdict
from edgekit.methods import METHODS
from edgekit.report import Report
from edgekit.tflite.metadata_read import read_metadata
from edgekit.types import Role
from tests.stand_in_methods import STAND_INS, entry
from tests.tiny_runs import write_arrays, write_model, write_recipe

AUTO: dict[str, Any] = {"quantize": None}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_model(tmp_path)
    write_arrays(tmp_path)
    for name in STAND_INS:
        monkeypatch.setitem(METHODS, name, entry(name))
    return tmp_path


def run(
    home: Path, monkeypatch: pytest.MonkeyPatch, *methods: str, **changes: dict[str, Any]
) -> Report:
    """A run that leaves the method out, and has ``methods`` to try."""
    monkeypatch.setattr(plan, "candidates", lambda *_: methods)
    recipe = write_recipe(home, AUTO, changes)
    return edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))


def test_one_candidate_opens_no_dev_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> RunData:
        def opened() -> Any:
            raise AssertionError("dev was opened")

        return replace(open_run_data(*given), open_dev=opened)

    monkeypatch.setattr(pipeline, "open_run_data", refuse)
    recipe = write_recipe(home, AUTO)
    report = edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))
    assert report.artefact.method == "litert_static"
    assert (report.choices, report.alternatives) == ((), {})
    assert report.to_dict()["choices"] == []


def test_the_better_one_is_kept_and_the_other_stands_beside_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(home, monkeypatch, "coarse", "litert_static")
    assert report.verdict is Verdict.PASS
    assert report.artefact.method == "litert_static"
    (choice,) = json.loads((home / "out" / "report.json").read_text())["choices"]
    assert (choice["of"], choice["chosen"]) == ("method", "litert_static")
    assert choice["by"] in ("agreement", "sqnr_db")
    assert choice["on"] == {"role": "dev", "dataset": "data.npz", "samples": 20}
    coarse, static = choice["candidates"]
    assert coarse["sqnr_db"] + 1 < static["sqnr_db"]
    assert "litert_static" in coarse["lost"]
    assert (static["lost"], static["float_ops"]) == (None, 0)
    assert 0 < static["seconds"] < 60
    # Both are measured on eval, and only one is judged.
    assert list(report.alternatives) == ["coarse"]
    assert report.alternatives["coarse"].fidelity.n == report.fidelity.n == 25
    assert report.alternatives["coarse"].fidelity.sqnr_db < report.fidelity.sqnr_db
    manifest = json.loads((home / "out" / "manifest.json").read_text())
    sizes = {each["name"]: each["size_bytes"] for each in choice["candidates"]}
    for name, file in (("litert_static", "model.tflite"), ("coarse", "model.coarse.tflite")):
        assert manifest["outputs"][file]["bytes"] == sizes[name]
        described = read_metadata(home / "out" / file)
        assert described is not None
        assert described.name == "tiny"
    assert report.size.bytes == sizes["litert_static"]
    assert report.alternatives["coarse"].size.bytes == sizes["coarse"]
    assert sorted(path.name for path in (home / "out").iterdir()) == [
        "contract.json",
        "evidence.json",
        "junit.xml",
        "manifest.json",
        "model.coarse.tflite",
        "model.float.tflite",
        "model.tflite",
        "report.html",
        "report.json",
        "report.md",
    ]


def test_the_choice_is_made_on_samples_of_the_dev_role_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Role] = []
    measured = pipeline.best_on_dev

    def spy(run_: Any, source: Any, dev: Any, *others: Any) -> Any:
        opened.append(dev.role)
        return measured(run_, source, dev, *others)

    monkeypatch.setattr(pipeline, "best_on_dev", spy)
    report = run(home, monkeypatch, "coarse", "litert_static")
    assert opened == [Role.DEV]
    data = json.loads((home / "out" / "manifest.json").read_text())["data"]
    used = {use: set(part["images"].values()) for use, part in data.items()}
    assert len(used["dev"]) == 20
    assert not used["dev"] & (used["calibration"] | used["labelled"])
    assert report.data["dev"]["role"] == "dev"


def test_each_stage_is_timed_by_the_candidates_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(home, monkeypatch, "coarse", "litert_static")
    assert [stage.name for stage in report.stages][:9] == [
        "locate",
        "data",
        "quantize: coarse",
        "metadata",
        "quantize: litert_static",
        "metadata",
        "reference",
        "dev: coarse",
        "dev: litert_static",
    ]


def test_a_file_that_is_not_what_was_asked_for_loses_whatever_it_measures(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(home, monkeypatch, "with_float_ends", "coarse", gate={"agreement_min": 0.1})
    (choice,) = report.choices
    assert (choice.chosen, choice.by) == ("coarse", "promise")
    lost = choice.candidates[0].lost
    assert lost is not None
    assert lost.startswith("artefact.input_dtype: the recipe asks for int8")
    # The gate holds the file against the promise of the method that made it.
    assert report.checks[0].name == "artefact.input_dtype"


@pytest.mark.parametrize(
    ("loser", "reason"),
    [
        ("refusing", "no kernel for SEARCH at net/find"),
        ("crashing", "crashed"),
        ("renaming", "does not keep the model's outputs"),
        ("missing", "tensorflow is not installed"),
    ],
)
def test_one_that_fails_is_named_and_the_other_wins(
    home: Path, monkeypatch: pytest.MonkeyPatch, loser: str, reason: str
) -> None:
    report = run(home, monkeypatch, loser, "litert_static")
    (choice,) = report.choices
    assert (choice.chosen, choice.by) == ("litert_static", "only_candidate")
    assert (choice.on is None) is (loser != "crashing")  # which is made, and fails when it is run
    assert reason in (choice.candidates[0].error or "")
    assert report.alternatives == {}
    assert any(note.startswith(f"{loser} came to nothing") for note in report.notes)
    assert "model.tflite" in (names := {path.name for path in (home / "out").iterdir()})
    assert not any(loser in name for name in names)


def test_all_that_fail_give_all_their_reasons(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConversionError) as caught:
        run(home, monkeypatch, "refusing", "missing")
    assert "refusing: no kernel for SEARCH" in caught.value.message
    assert "missing: tensorflow is not installed" in caught.value.message
    assert caught.value.hint == "Rewrite it.\npip install it"
    assert not (home / "out").exists()


def test_a_reason_that_several_share_is_told_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "balking", entry("refusing"))
    with pytest.raises(ConversionError) as caught:
        run(home, monkeypatch, "refusing", "missing", "balking")
    assert caught.value.message.splitlines()[1:] == [
        "  refusing, balking: no kernel for SEARCH at net/find",
        "  missing: tensorflow is not installed",
    ]


def test_nothing_that_could_run_at_all_is_a_missing_package(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "absent", entry("missing"))
    with pytest.raises(MissingError):
        run(home, monkeypatch, "missing", "absent")


def test_a_mistake_in_the_data_is_no_candidates_failure(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(home / "two.npz", x=np.eye(2, 48, dtype=np.float32).reshape(2, 4, 4, 3))
    with pytest.raises(DataError, match=r"auto chooses on the dev samples, .* too few") as caught:
        run(
            home,
            monkeypatch,
            "coarse",
            "litert_static",
            evaluate={"dataset": "two.npz", "labelled": False},
        )
    assert "write which method" in (caught.value.hint or "")


QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": "1"}
KERAS_NET = """\
import keras
keras.utils.set_random_seed(0)
image = keras.Input((12, 12, 3), name="image")
x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(image)
x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
x = keras.layers.GlobalAveragePooling2D()(x)
scores, box = (keras.layers.Dense(size, name=name)(x) for size, name in ((5, "scores"), (4, "box")))
keras.Model(image, [scores, box]).save("net.keras")
"""


@pytest.mark.slow
def test_a_keras_model_by_both_methods(home: Path) -> None:
    """The real candidates, on a two-headed network; the method is not written at all."""
    command = [sys.executable, "-c", KERAS_NET]
    subprocess.run(command, cwd=home, check=True, capture_output=True, env={**os.environ, **QUIET})
    image = np.random.default_rng(0).uniform(-1, 1, (100, 12, 12, 3)).astype(np.float32)
    np.savez(home / "data.npz", image=image)
    recipe = write_recipe(
        home,
        AUTO,
        {
            "model": {
                "framework": "keras",
                "file": "net.keras",
                "inputs": [{"name": "image", "shape": [1, 12, 12, 3], "layout": "NHWC"}],
                "outputs": ["scores", "box"],
            },
            "evaluate": {"labelled": False},
        },
    )
    report = edgekit.quantize(str(recipe), out=home / "out", cache=Cache(home / "cache"))
    assert report.verdict is Verdict.PASS
    (choice,) = report.choices
    assert [each.name for each in choice.candidates] == ["tflite_int8", "litert_static"]
    assert [each.error for each in choice.candidates] == [None, None]
    assert all(list(each.sqnr_db) == ["scores", "box"] for each in choice.candidates)
    assert all(each.primary_db > 25 for each in choice.candidates)
    assert report.artefact.method == choice.chosen
    (other,) = report.alternatives
    assert {other, choice.chosen} == {"tflite_int8", "litert_static"}
    assert (home / "out" / f"model.{other}.tflite").exists()
    # One float graph serves both: it is made once, before either.
    names = [stage.name for stage in report.stages]
    assert names.count("float graph") == 1
    assert names.index("float graph") < names.index("quantize: tflite_int8")
