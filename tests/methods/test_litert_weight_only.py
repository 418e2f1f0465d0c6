"""INT8 weights alone: a file a quarter as large that still computes in float, and says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.artefact import inspect_artefact
from edgekit.gate.check import Status
from edgekit.gate.limits import check_promise
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.recipe.gate_spec import GateSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.tflite.graph import Graph, read_graph
from tests import tflite_models as models
from tests.methods.conftest import MakeJob

WIDE = 128


def wide_model() -> bytes:
    """The tiny network with 128 filters, whose weights outweigh the rest of the file. Filters
    differ in size by up to 100, as those of real networks do."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(0.01, 1, WIDE)[:, None, None, None]
    features = models.INPUT_SHAPE[1] * models.INPUT_SHAPE[2] * WIDE
    kernels = (rng.normal(size=(WIDE, 3, 3, models.INPUT_SHAPE[3])) * sizes).astype(np.float32)
    matrix = rng.normal(0, 0.1, (models.CLASSES, features)).astype(np.float32)

    graph = models.Graph()
    x = graph.tensor("serving_x", models.INPUT_SHAPE)
    kernel = graph.tensor("kernel", kernels.shape, data=kernels)
    bias = graph.tensor("kernel_bias", (WIDE,), data=np.full(WIDE, 0.1))
    h = graph.tensor("hidden", (*models.INPUT_SHAPE[:3], WIDE))
    rows = graph.tensor("matrix", matrix.shape, data=matrix)
    offset = graph.tensor("matrix_bias", (models.CLASSES,), data=np.zeros(models.CLASSES))
    y = graph.tensor("serving_scores", (1, models.CLASSES))
    graph.operator(
        "CONV_2D",
        [x, kernel, bias],
        [h],
        table="Conv2DOptions",
        padding=0,
        strideW=1,
        strideH=1,
        dilationWFactor=1,
        dilationHFactor=1,
        fusedActivationFunction=1,
    )
    graph.operator("FULLY_CONNECTED", [h, rows, offset], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    return models.write([graph], {"serving_default": 0})


class _NotRun:
    """Calibration samples that nobody may ask for."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the samples were asked for {name}")

    def __iter__(self) -> Any:
        raise AssertionError("the samples were run")


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("litert_weight_only").quantize(job)


def _compared(job: QuantizeJob) -> Fidelity:
    with (
        job.model.open_session(1) as before,
        open_session(_quantized(job).artefact.path) as after,
    ):
        expected, found = (predict(session, job.calibration) for session in (before, after))
    return fidelity(expected, found, primary=job.model.outputs[0], classification=False)


def _weights(graph: Graph) -> dict[str, tuple[str, int]]:
    """Type and number of scales of what stands before a DEQUANTIZE, by name."""
    constants = {graph.tensors[op.inputs[0]] for op in graph.ops if op.name == "DEQUANTIZE"}
    return {tensor.name: (tensor.dtype, len(tensor.scales)) for tensor in constants}


def test_the_file_shrinks_and_answers_as_before(make_job: MakeJob) -> None:
    job = make_job(wide_model())
    quantized = _quantized(job)
    assert quantized.artefact.path.stat().st_size < 0.4 * job.model.size_bytes
    assert _compared(job).sqnr_db > 40
    assert quantized.baseline is job.model


def test_no_sample_is_run(make_job: MakeJob) -> None:
    quantized = _quantized(make_job(models.float_model(), calibration=_NotRun()))
    assert quantized.artefact.path.stat().st_size > 0
    assert not quantized.calibration_cached


def test_one_scale_a_channel_or_one_for_all(make_job: MakeJob) -> None:
    by_channel, by_tensor = make_job(wide_model()), make_job(wide_model(), per_channel=False)
    assert _weights(read_graph(_quantized(by_channel).artefact.path)) == {
        "kernel": ("int8", WIDE),
        "matrix": ("int8", models.CLASSES),
    }
    assert _weights(read_graph(_quantized(by_tensor).artefact.path)) == {
        "kernel": ("int8", 1),
        "matrix": ("int8", 1),
    }
    assert _compared(by_channel).sqnr_db > _compared(by_tensor).sqnr_db


def test_every_operator_is_named_as_float_and_the_gate_knows(make_job: MakeJob) -> None:
    job = make_job(models.two_output_model())
    facts = inspect_artefact(_quantized(job).artefact, job.calibration)
    plain = read_graph(job.model.files["model"])
    assert facts.float_ops is not None
    assert [str(op) for op in facts.float_ops] == [
        f"{op.name} at {plain.layer(op)}" for op in plain.ops
    ]
    assert (facts.int8_mac_fraction, facts.macs) == (0.0, sum(op.macs for op in plain.ops))
    assert {*facts.input_dtypes, *facts.output_dtypes} == {"float32"}

    promises = METHODS["litert_weight_only"].full_integer
    asked, unasked = (
        check_promise(gate, job.options, promises_full_integer=promises, facts=facts)
        for gate in (GateSpec(full_integer=True), GateSpec())
    )
    (check,) = asked
    assert (check.name, check.status) == ("artefact.full_integer", Status.FAIL)
    assert "CONV_2D at hidden" in check.why
    assert unasked == ()


def test_names_and_signature_stay(make_job: MakeJob) -> None:
    job = make_job(models.two_output_model())
    before = read_graph(job.model.files["model"])
    after = read_graph(_quantized(job).artefact.path)
    assert after.input_names == before.input_names
    assert after.output_names == before.output_names
    assert after.signature == before.signature


def test_the_same_bytes_every_time(make_job: MakeJob) -> None:
    files = [_quantized(make_job(wide_model(), threads=n)).artefact.path for n in (1, 2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_is_printed(make_job: MakeJob, capfd: pytest.CaptureFixture[str]) -> None:
    _quantized(make_job(models.float_model()))
    assert capfd.readouterr() == ("", "")


def test_the_table_of_methods_says_what_the_method_makes(make_job: MakeJob) -> None:
    entry = METHODS["litert_weight_only"]
    job = make_job(models.float_model())
    artefact = _quantized(job).artefact
    assert job.model.kind in entry.accepts
    assert artefact.format is entry.produces
    assert artefact.path == job.folder / f"model.{entry.produces.value}"
    assert artefact.method == "litert_weight_only"
    assert artefact.notes["engine"].startswith("ai-edge-quantizer ")
