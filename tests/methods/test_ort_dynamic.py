"""Dynamic INT8 for ONNX Runtime: smaller, close, and never nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ConversionError
from edgekit.methods import load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.onnx.facts import inspect
from edgekit.recipe.schema import InputSpec, ModuleRule
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.types import KEPT_FLOAT
from tests.methods.onnx_jobs import blocks, onnx_job
from tests.onnx_models import info, model

WORDS, WIDTH, HIDDEN, STEPS = 50, 16, 24, 6
IDS = (InputSpec("ids", (1, STEPS), "int64", "any"),)


def _text_model() -> Any:
    """Embedding, LSTM, MatMul and Gemm: ``ids`` [1, 6] to ``y`` [1, 5]."""
    random = np.random.default_rng(2)
    arrays = {
        "table": random.normal(size=(WORDS, WIDTH)),
        "lw": random.normal(size=(1, 4 * HIDDEN, WIDTH)) / 4,
        "lr": random.normal(size=(1, 4 * HIDDEN, HIDDEN)) / 4,
        "m": random.normal(size=(HIDDEN, 32)),
        "g": random.normal(size=(32, 5)),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("Transpose", ["e"], ["t"], "turn", perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "lw", "lr"], ["", "h"], "lstm", hidden_size=HIDDEN),
        helper.make_node("Reshape", ["h", "flat"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "m"], ["a"], "hidden"),
        helper.make_node("Gemm", ["a", "g"], ["y"], "head"),
    ]
    constants = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()]
    constants.append(numpy_helper.from_array(np.array([1, HIDDEN]), "flat"))
    ids = info("ids", (1, STEPS), TensorProto.INT64)
    return model(nodes, [ids], [info("y", (1, 5))], constants)


def _words(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return random.integers(0, WORDS, size=shape)


def _job(tmp_path: Path, **options: Any) -> QuantizeJob:
    return onnx_job(tmp_path, _text_model(), "ort_dynamic", inputs=IDS, draw=_words, **options)


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("ort_dynamic").quantize(job)


@pytest.mark.parametrize("per_channel", [True, False])
def test_every_weight_is_int8_and_answers_are_close(
    tmp_path: Path,
    per_channel: bool,
) -> None:
    job = _job(tmp_path, per_channel=per_channel)
    file = _quantized(job).artefact.path
    with (
        job.model.open_session(1) as before,
        open_session(file, runtime="onnxruntime") as after,
    ):
        expected, found = (predict(session, job.calibration) for session in (before, after))
    assert fidelity(expected, found, primary="y", classification=False).sqnr_db > 20
    modules = {module.name.removesuffix("_quant"): module for module in inspect(file).modules or ()}
    assert len(modules) == 4
    assert {module.bits for module in modules.values()} == {8}
    assert file.stat().st_size < job.model.size_bytes / 2


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    made = {_quantized(_job(tmp_path)).artefact.path.read_bytes() for _ in range(2)}
    assert len(made) == 1


def test_a_rule_leaves_a_node_float(tmp_path: Path) -> None:
    rules = (ModuleRule(type="LSTM", method="float"),)
    file = _quantized(_job(tmp_path, modules=rules)).artefact.path
    ops = {node.op_type for node in onnx.load(file).graph.node}
    assert "LSTM" in ops
    assert "DynamicQuantizeLSTM" not in ops
    assert "MatMulInteger" in ops


def test_a_gemm_that_a_rule_leaves_float_says_so_as_matmul_and_add(tmp_path: Path) -> None:
    rules = (ModuleRule(type="Gemm", method="float"),)
    artefact = _quantized(_job(tmp_path, modules=rules)).artefact
    assert {"head", "head_MatMul", "head_Add"} == artefact.notes[KEPT_FLOAT].keys()
    assert "head_MatMul" in {op.layer for op in inspect(artefact.path).float_ops or ()}


def test_nothing_to_quantize_is_an_error(tmp_path: Path) -> None:
    rules = (ModuleRule(type="Gemm", method="float"),)
    with pytest.raises(ConversionError, match="nothing in the model can be made dynamic INT8"):
        _quantized(onnx_job(tmp_path, blocks(), "ort_dynamic", modules=rules))


def _sqnr_db(tmp_path: Path, made: Any, spec: InputSpec, **options: Any) -> float:
    job = onnx_job(tmp_path, made, "ort_dynamic", inputs=(spec,), **options)
    with (
        job.model.open_session(1) as before,
        open_session(_quantized(job).artefact.path, runtime="onnxruntime") as after,
    ):
        expected, found = (predict(session, job.calibration) for session in (before, after))
    return fidelity(expected, found, primary="y", classification=False).sqnr_db


@pytest.mark.parametrize("per_channel", [True, False])
def test_two_lstms_of_the_same_weights(tmp_path: Path, per_channel: bool) -> None:
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=(1, 16, 4)).astype(np.float32) for name in ("w", "r")}
    made = model(
        [
            helper.make_node("Transpose", ["x"], ["t"], "turn", perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "w", "r"], ["a"], "one", hidden_size=4),
            helper.make_node("Squeeze", ["a", "axis"], ["b"], "squeeze"),
            helper.make_node("LSTM", ["b", "w", "r"], ["y"], "two", hidden_size=4),
        ],
        [info("x", (1, 5, 4))],
        [info("y", (5, 1, 1, 4))],
        [
            *(numpy_helper.from_array(value, name) for name, value in weights.items()),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    spec = InputSpec("x", (1, 5, 4), "float32", "any")
    assert _sqnr_db(tmp_path, made, spec, per_channel=per_channel) > 25


@pytest.mark.parametrize("shape", [(8,), (8, 4), (2, 8, 4)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_of_any_number_of_axes(
    tmp_path: Path, shape: tuple[int, ...], per_channel: bool
) -> None:
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    made = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        [info("x", (1, 2, 5, 8))],
        [info("y", np.matmul(np.ones((1, 2, 5, 8)), weights).shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    spec = InputSpec("x", (1, 2, 5, 8), "float32", "any")
    assert _sqnr_db(tmp_path, made, spec, per_channel=per_channel) > 30
