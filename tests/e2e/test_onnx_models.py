"""A real ONNX model: beside the SavedModel of the same training, and as a user quantizes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data.roles import open_run_data
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.runtimes.predict import Predictions, predict
from edgekit.sources import locate
from tests.e2e.conftest import Finished, finished

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

WINDOWS = 16
MIN_SQNR_DB = 60


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished("basic_pitch_onnx_int8", tmp_path_factory.mktemp("notes"))


def answers(name: str) -> Predictions:
    """What the recipe's float model answers to its first calibration windows."""
    recipe = load_recipe(name)
    recipe = replace(recipe, calibration=replace(recipe.calibration, samples=WINDOWS))
    with locate(recipe.model).open_session(1) as session:
        return predict(session, open_run_data(recipe, SilentProgress()).calibration)


def test_the_onnx_file_answers_like_the_saved_model() -> None:
    saved, onnx = answers("basic_pitch_int8"), answers("basic_pitch_onnx_int8")
    assert saved.ids == onnx.ids
    for name, other in zip(saved.outputs, onnx.outputs, strict=True):
        expected = saved.outputs[name].astype(np.float64)
        noise = expected - onnx.outputs[other]
        sqnr_db = 10 * np.log10(np.sum(expected**2) / np.sum(noise**2))
        assert sqnr_db >= MIN_SQNR_DB, (name, other)


def test_the_recipe_passes_its_gate(notes: Finished) -> None:
    assert notes.ran.code == 0, notes.ran
    report = notes.read("report.json")
    assert [hop["bridge"] for hop in report["bridges"]] == ["onnx_torch", "litert_torch"]
    assert report["artefact"]["int8_mac_fraction"] > 0.9
    inputs = notes.read("manifest.json")["inputs"]
    assert inputs["model"]["sha256"] == load_recipe("basic_pitch_onnx_int8").model.sha256
