"""A full-integer .tflite by way of PT2E: what it is and what it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from edgekit.errors import RecipeError
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.recipe.schema import ModuleRule
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.tflite.facts import inspect
from edgekit.tflite.graph import read_graph
from tests.pytorch import nets


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> QuantizeJob:
    net: nn.Module = nets.trained(nets.Net())
    return nets.job(tmp_path_factory.mktemp("pt2e_tflite"), net, "pt2e_tflite")


@pytest.fixture(scope="module")
def quantized(job: QuantizeJob) -> Quantized:
    return load_method("pt2e_tflite").quantize(job)


def test_every_operator_and_both_ends_are_int8(quantized: Quantized) -> None:
    facts = inspect(quantized.artefact.path)
    assert facts.float_ops == ()
    assert facts.int8_mac_fraction == 1
    assert (facts.input_dtypes, facts.output_dtypes) == (("int8",), ("int8",))


def test_a_clamp_is_one_with_its_convolution(quantized: Quantized) -> None:
    names = [op.name for op in read_graph(quantized.artefact.path).ops]
    assert "RELU6" not in names
    assert sum("CONV" in name for name in names) == 2


def test_it_answers_nearly_as_the_float_model(job: QuantizeJob, quantized: Quantized) -> None:
    with (
        job.model.open_session(1) as before,
        open_session(quantized.artefact.path) as after,
    ):
        compared = fidelity(
            predict(before, job.calibration),
            predict(after, job.calibration),
            primary="scores",
            classification=False,
        )
    assert compared.sqnr_db > 25


def test_ends_and_layers_have_names_a_person_gave(quantized: Quantized) -> None:
    graph = read_graph(quantized.artefact.path)
    assert (graph.input_names, graph.output_names) == (("image",), ("scores",))
    names = {tensor.name for tensor in graph.tensors}
    assert any(name.startswith("stem") for name in names)


def test_the_baseline_is_the_float_tflite(quantized: Quantized) -> None:
    assert quantized.baseline.files["model"].suffix == ".tflite"
    assert quantized.artefact.format is METHODS["pt2e_tflite"].produces


def test_a_dynamic_module_has_no_place_in_it(tmp_path: Path) -> None:
    rules = (ModuleRule(type="Linear", method="dynamic"),)
    with pytest.raises(RecipeError, match="head cannot be dynamic"):
        load_method("pt2e_tflite").quantize(
            nets.job(tmp_path, nets.trained(nets.Net()), "pt2e_tflite", modules=rules)
        )


@pytest.mark.slow
def test_loading_torchao_prints_nothing(repository: Path) -> None:
    script = "from edgekit.pytorch.export import load_torchao; load_torchao()"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=repository
    )
    assert (ran.stdout, ran.stderr) == ("", "")
