"""The methods of TFLiteConverter: what their files are, and the float graph made beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artefact import inspect_artefact
from edgekit.bridges.cross import cross
from edgekit.errors import ConversionError, DataError
from edgekit.gate.check import Check, Status
from edgekit.gate.limits import check_limits
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.schema import QuantizeSpec
from edgekit.runs.contract import contract
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.tensorflow.function import TFModel
from edgekit.tflite.graph import read_graph
from edgekit.types import ArtefactFacts, ModelKind
from tests.report.sample import FIDELITY, HOST, SIZE
from tests.tensorflow import tf_models

ENDS: dict[str, dict[str, str]] = {
    "tflite_int8": {},
    "tflite_int16x8": {"input_dtype": "int16", "output_dtype": "int16"},
    "tflite_dynamic": {},
    "tflite_float16": {},
}
SQNR_DB_MIN = {"tflite_int8": 25, "tflite_int16x8": 35, "tflite_dynamic": 35, "tflite_float16": 55}


@pytest.fixture(scope="module")
def net() -> TFModel:
    return tf_models.two_heads()


@pytest.fixture(scope="module")
def runs(
    net: TFModel, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[QuantizeJob, Quantized, ArtefactFacts]]:
    """What each method made of ``net``, made once."""
    kept: dict[str, tuple[QuantizeJob, Quantized, ArtefactFacts]] = {}

    def run(method: str) -> tuple[QuantizeJob, Quantized, ArtefactFacts]:
        if method not in kept:
            job = tf_models.job(net, tmp_path_factory.mktemp(method), method, **ENDS[method])
            quantized = load_method(method).quantize(job)
            # In a child process, as in a run.
            facts = inspect_artefact(quantized.artefact, job.calibration)
            kept[method] = job, quantized, facts
        return kept[method]

    return run


def checks(method: str, gate: GateSpec, facts: ArtefactFacts) -> dict[str, Check]:
    found = check_limits(
        gate,
        QuantizeSpec(method=method, **ENDS[method]),  # type: ignore[arg-type]
        promises_full_integer=METHODS[method].full_integer,
        facts=facts,
        size=SIZE,
        fidelity=FIDELITY,
        accuracy={},
        latency=None,
        host=HOST,
    )
    return {check.name: check for check in found}


@pytest.mark.parametrize("method", ENDS)
def test_the_file_answers_nearly_as_the_model(runs: Any, method: str) -> None:
    job, quantized, _ = runs(method)
    with job.model.open_session(1) as before, open_session(quantized.artefact.path) as after:
        expected, found = predict(before, job.calibration), predict(after, job.calibration)
    compared = fidelity(expected, found, primary="scores", classification=False)
    for output in compared.outputs.values():
        assert output.sqnr_db > SQNR_DB_MIN[method]


@pytest.mark.parametrize("method", ENDS)
def test_it_says_what_made_it(runs: Any, method: str) -> None:
    _, quantized, _ = runs(method)
    artefact = quantized.artefact
    assert artefact.method == method
    assert artefact.notes["engine"].startswith("TFLiteConverter of tensorflow 2.")
    assert artefact.notes["op_sets"][0].replace("EXPERIMENTAL_", "").startswith("TFLITE_BUILTINS")
    assert not quantized.calibration_cached
    assert artefact.format is METHODS[method].produces


@pytest.mark.parametrize("method", ENDS)
def test_the_baseline_is_the_float_file(runs: Any, method: str) -> None:
    _, quantized, _ = runs(method)
    assert quantized.baseline.kind is ModelKind.FLOAT_TFLITE
    assert quantized.baseline.size_bytes > 0
    with quantized.baseline.open_session(1) as session:
        assert {info.dtype for info in session.info.outputs} == {"float32"}


@pytest.mark.parametrize("method", ["tflite_int8", "tflite_int16x8"])
def test_a_full_integer_file_passes_for_one(runs: Any, method: str) -> None:
    found = checks(method, GateSpec(), runs(method)[2])
    assert {check.status for check in found.values()} == {Status.PASS}
    assert set(found) == {
        "artefact.input_dtype",
        "artefact.output_dtype",
        "artefact.full_integer",
    }


@pytest.mark.parametrize("method", ["tflite_dynamic", "tflite_float16"])
def test_no_other_file_ever_does(runs: Any, method: str) -> None:
    facts = runs(method)[2]
    check = checks(method, GateSpec(full_integer=True), facts)["artefact.full_integer"]
    assert check.status is Status.FAIL
    assert "CONV_2D at " in check.why
    assert facts.int8_mac_fraction == 0
    assert "artefact.full_integer" not in checks(method, GateSpec(), facts)


def test_contract_and_runtime_agree_on_int16(runs: Any) -> None:
    job, quantized, _ = runs("tflite_int16x8")
    with open_session(quantized.artefact.path) as session:
        written = contract(
            session.info,
            job.model.inputs,
            {},
            task="tensors",
            primary="scores",
            labels=None,
        )
        (taken,) = written["inputs"]
        assert (taken["dtype"], taken["zero_point"]) == ("int16", 0)
        sample = next(iter(job.calibration))
        # By the contract alone, as an app would.
        real = sample.feeds["image"]
        stored = np.clip(np.rint(real / taken["scale"]), -32768, 32767).astype(np.int16)
        raw = session.run({"image": stored})
        wanted = predict(session, [sample]).outputs
    for output in written["outputs"]:
        assert (output["dtype"], output["zero_point"]) == ("int16", 0)
        found = output["scale"] * raw[output["name"]].astype(np.float64)
        np.testing.assert_allclose(found, wanted[output["name"]], rtol=1e-6)


def test_a_weight_of_int8_takes_a_quarter_of_the_bytes(runs: Any) -> None:
    def weights(file: Path) -> int:
        graph = read_graph(file)
        (conv,) = (op for op in graph.ops if op.name == "CONV_2D")
        return graph.tensors[conv.inputs[1]].size_bytes

    _, int8, _ = runs("tflite_int8")
    _, wide, _ = runs("tflite_int16x8")
    plain = weights(int8.baseline.files["model"])
    assert weights(int8.artefact.path) == weights(wide.artefact.path) == plain // 4


def test_the_static_quantizer_takes_the_same_float_graph(net: TFModel, tmp_path: Path) -> None:
    job = tf_models.job(net, tmp_path, "litert_static")
    crossing = cross(
        "tflite_converter",
        job.model,
        job.calibration,
        threads=1,
        cache=job.cache,
        progress=job.progress,
    )
    assert min(output.sqnr_db for output in crossing.hop.outputs) > 90
    assert [output.name for output in crossing.hop.outputs] == ["scores", "box"]
    quantized = load_method("litert_static").quantize(replace(job, model=crossing.model))
    graph = read_graph(quantized.artefact.path)
    assert graph.signature == "serving_default"
    assert (graph.input_names, graph.output_names) == (("image",), ("scores", "box"))
    facts = inspect_artefact(quantized.artefact, job.calibration)
    assert facts.float_ops == ()
    assert facts.int8_mac_fraction == 1
    with job.model.open_session(1) as before, open_session(quantized.artefact.path) as after:
        compared = fidelity(
            predict(before, job.calibration),
            predict(after, job.calibration),
            primary="scores",
            classification=False,
        )
    assert compared.sqnr_db > 25


def test_a_second_crossing_is_remembered(net: TFModel, tmp_path: Path) -> None:
    job = tf_models.job(net, tmp_path, "litert_static")
    crossings = [
        cross(
            "tflite_converter",
            job.model,
            job.calibration,
            threads=1,
            cache=job.cache,
            progress=job.progress,
        )
        for _ in range(2)
    ]
    assert [crossing.cached for crossing in crossings] == [False, True]


def test_nothing_is_written_when_it_fails(net: TFModel, tmp_path: Path) -> None:
    job = tf_models.job(net, tmp_path, "tflite_int8")
    bad = tf_models.samples(tf_models.IMAGE, count=2)
    bad[1].feeds["image"][...] = np.nan
    with pytest.raises(DataError, match="sample s1, input 'image'"):
        load_method("tflite_int8").quantize(replace(job, calibration=bad))  # type: ignore[arg-type]
    broken = tf_models.function(lambda x: 1 / 0)
    failing = tf_models.job(
        broken, tmp_path / "b", "tflite_int8", inputs=(tf_models.VECTOR,), outputs=("y",)
    )
    with pytest.raises(ConversionError, match="ZeroDivisionError"):
        load_method("tflite_int8").quantize(failing)
    assert list(job.folder.iterdir()) == list(failing.folder.iterdir()) == []
