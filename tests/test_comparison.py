"""``edgekit.compare``: two files side by side, on real samples and on random ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.comparison import random_samples
from edgekit.errors import DataError, SourceError, UsageError
from edgekit.measure.latency import HostLatency
from edgekit.measure.layers import LayerErrors
from edgekit.measure.measurements import NotMeasured
from edgekit.numerics.fidelity import Fidelity
from edgekit.types import QuantParams, TensorInfo
from tests import onnx_models, tiny_runs
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tflite import graphs

KEYS = (
    *("schema", "a", "b", "size_ratio", "operators", "contract", "samples", "fidelity"),
    *("latency", "layers"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network, itself in INT8, its recipe and its data."""
    folder = tmp_path_factory.mktemp("compare")
    tiny_runs.write_model(folder)
    tiny_runs.write_arrays(folder)
    tiny_runs.write_recipe(folder)
    (folder / "int8.tflite").write_bytes(quantized(models.float_model()))
    return folder


def test_a_float_file_and_its_int8_form_on_the_recipes_dev_samples(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    found = edgekit.compare("net.tflite", "int8.tflite", recipe="./recipe.yaml", samples=4)
    assert found.real
    assert found.samples == "4 dev samples of data.npz"
    assert isinstance(found.fidelity, Fidelity)
    assert found.fidelity.n == 4
    assert 15 < found.fidelity.sqnr_db < 80
    assert isinstance(found.latency, HostLatency)
    assert found.latency.ci_low <= found.latency.speedup <= found.latency.ci_high
    assert isinstance(found.layers, LayerErrors)
    assert len(found.layers.layers) == 3
    assert "input 0: type float32 in A, int8 in B" in found.contract
    assert found.operators == ()


def test_the_float_file_is_the_reference_of_layers_whatever_its_place(folder: Path) -> None:
    found = edgekit.compare(folder / "int8.tflite", folder / "net.tflite", samples=2, latency=False)
    assert isinstance(found.layers, LayerErrors)
    assert {layer.dtype for layer in found.layers.layers} == {"int8"}


def test_a_file_is_itself_on_random_inputs_which_are_called_so(folder: Path) -> None:
    file = folder / "net.tflite"
    found = edgekit.compare(file, file, samples=2, latency=False)
    assert not found.real
    assert found.samples.startswith("2 random inputs, seed 0: no real data")
    assert isinstance(found.fidelity, Fidelity)
    assert found.fidelity.max_abs == 0
    assert found.contract == ()
    assert found.size_ratio == 1
    assert found.layers == NotMeasured(
        "layers are compared where one model is float and the other integer"
    )
    assert found.latency == NotMeasured("not asked for")


def test_onnx_against_tflite_by_place_where_names_differ(folder: Path) -> None:
    (folder / "net.onnx").write_bytes(onnx_models.float_model().SerializeToString())
    found = edgekit.compare(folder / "net.onnx", folder / "net.tflite", samples=2, latency=False)
    counts = {each.op: (each.a, each.b) for each in found.operators}
    assert counts["Conv"] == (1, 0)
    assert counts["CONV_2D"] == (0, 1)
    assert found.layers == NotMeasured("layers are compared in .tflite models only")


def test_arrays_are_data_without_a_recipe(folder: Path) -> None:
    file = folder / "net.tflite"
    found = edgekit.compare(
        file, folder / "int8.tflite", data=folder / "data.npz", samples=3, latency=False
    )
    assert (found.real, found.samples) == (True, "3 dev samples of data.npz")


def test_networks_that_do_not_fit_are_compared_as_files_only(folder: Path) -> None:
    (folder / "other.tflite").write_bytes(graphs.chain())
    found = edgekit.compare(folder / "net.tflite", folder / "other.tflite", samples=2)
    assert isinstance(found.fidelity, NotMeasured)
    assert "wants input" in found.fidelity.why
    assert isinstance(found.latency, NotMeasured)
    assert any("shape" in line for line in found.contract)


def test_json_has_the_documented_keys(folder: Path, repository: Path) -> None:
    file = folder / "net.tflite"
    found = edgekit.compare(file, folder / "int8.tflite", samples=2)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert tuple(told) == KEYS
    page = (repository / "docs" / "inspect.md").read_text(encoding="utf-8")
    assert not [key for key in KEYS if f"`{key}" not in page]
    assert told["latency"]["ci_low"] <= told["latency"]["ratio"] <= told["latency"]["ci_high"]
    assert len(told["layers"]) == 3
    without = replace(found, latency=NotMeasured("no clock"), layers=NotMeasured("none")).to_dict()
    assert without["latency"] == {"measured": False, "why": "no clock"}


def test_what_cannot_be_compared_is_refused(folder: Path) -> None:
    file = folder / "net.tflite"
    with pytest.raises(SourceError, match="cannot read"):
        edgekit.compare(file, folder / "nowhere.tflite")
    with pytest.raises(UsageError, match="at least 1"):
        edgekit.compare(file, file, samples=0)
    with pytest.raises(UsageError, match=r"no \.npy or \.npz"):
        edgekit.compare(file, file, data=folder / "photos")
    with pytest.raises(DataError, match=r"absent\.npz"):
        edgekit.compare(file, file, data=folder / "absent.npz")


def test_random_inputs_span_what_an_integer_input_holds() -> None:
    float_input = TensorInfo("x", (1, 100), "float32")
    int8_input = TensorInfo("x", (1, 100), "int8", QuantParams(0.1, 0))
    (sample,) = random_samples([(float_input,), (int8_input,)], 1, seed=3)
    assert sample.feeds["x"].dtype == np.float32
    assert -12.8 <= sample.feeds["x"].min() < -6
    assert 6 < sample.feeds["x"].max() <= 12.7
    (again,) = random_samples([(float_input,), (int8_input,)], 1, seed=3)
    assert np.array_equal(sample.feeds["x"], again.feeds["x"])


def test_random_indices_are_0_or_1() -> None:
    (sample,) = random_samples([(TensorInfo("ids", (1, 50), "int32"),)], 1, seed=0)
    assert sample.feeds["ids"].dtype == np.int32
    assert set(sample.feeds["ids"].ravel()) == {0, 1}
