"""Graphs that exporters seldom write: both methods for ONNX Runtime answer nearly as in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgekit.methods import load_method
from edgekit.methods.method import QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from tests.methods.onnx_jobs import onnx_job
from tests.onnx_models import info, model

FLAT = InputSpec("x", (1, 16), "float32", "any")
IMAGE = InputSpec("x", (1, 3, 8, 8), "float32", "NCHW")
node = onnx.helper.make_node


def _job(
    tmp_path: Path,
    method: str,
    nodes: list[Any],
    constants: dict[str, Any],
    shape: tuple[int, ...],
    *,
    spec: InputSpec = FLAT,
    **options: Any,
) -> QuantizeJob:
    """``nodes`` from ``x`` to ``y`` of this shape."""
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    made = model(nodes, [info("x", spec.shape)], [info("y", shape)], tensors)
    return onnx_job(tmp_path, made, method, inputs=(spec,), rows=12, **options)


def _sqnr_db(job: QuantizeJob) -> float:
    file = load_method(job.options.method).quantize(job).artefact.path
    with (
        job.model.open_session(1) as before,
        open_session(file, runtime="onnxruntime") as after,
    ):
        expected, found = (predict(session, job.calibration) for session in (before, after))
    return fidelity(expected, found, primary="y", classification=False).sqnr_db


def _drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_pruned_channel_costs_the_others_nothing(tmp_path: Path, per_channel: bool) -> None:
    weights = _drawn(4, 3, 3, 3) / 100
    weights[1] = 0
    job = _job(
        tmp_path,
        "ort_static",
        [node("Conv", ["x", "w", "b"], ["y"])],
        {"w": weights, "b": np.float32([0.1, -0.03, 0, 0.2])},
        (1, 4, 6, 6),
        spec=IMAGE,
        per_channel=per_channel,
    )
    assert _sqnr_db(job) > 35


def test_a_grouped_transposed_convolution_with_a_bias(tmp_path: Path) -> None:
    job = _job(
        tmp_path,
        "ort_static",
        [node("ConvTranspose", ["x", "w", "b"], ["y"], strides=[2, 2], group=3)],
        {"w": _drawn(3, 2, 3, 3), "b": _drawn(6)},
        (1, 6, 17, 17),
        spec=IMAGE,
    )
    assert _sqnr_db(job) > 30


def test_a_clip_at_one_end_then_one_at_the_other(tmp_path: Path) -> None:
    job = _job(
        tmp_path,
        "ort_static",
        [
            node("MatMul", ["x", "w"], ["a"]),
            node("Clip", ["a", "low"], ["b"]),
            node("Clip", ["b", "", "high"], ["c"]),
            node("MatMul", ["c", "v"], ["y"]),
        ],
        {"w": _drawn(16, 4), "v": _drawn(4, 4), "low": np.float32(-1), "high": np.float32(2)},
        (1, 4),
    )
    assert _sqnr_db(job) > 25


@pytest.mark.parametrize("read", ["before", "after"])
@pytest.mark.parametrize("method", ["ort_static", "ort_dynamic"])
def test_what_a_branch_reads_around_a_relu_is_what_it_read(
    tmp_path: Path, method: str, read: str
) -> None:
    bodies = {
        name: onnx.helper.make_graph(inner, name, [], [info(name, (1, 4))])
        for name, inner in (
            ("kept", [node("Identity", [read], ["kept"])]),
            ("times", [node("MatMul", [read, "v"], ["times"])]),
        )
    }
    job = _job(
        tmp_path,
        method,
        [
            node("MatMul", ["x", "w"], ["before"]),
            node("Relu", ["before"], ["after"]),
            node("ReduceSum", ["x"], ["sum"], keepdims=0),
            node("Cast", ["sum"], ["chosen"], to=TensorProto.BOOL),
            node("If", ["chosen"], ["i"], then_branch=bodies["times"], else_branch=bodies["kept"]),
            node("Add", ["i", "after"], ["s"]),
            node("MatMul", ["s", "v"], ["y"]),
        ],
        {"w": _drawn(16, 4), "v": _drawn(4, 4)},
        (1, 4),
    )
    assert _sqnr_db(job) > 25


class _Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("masked", [-1e9, float(np.finfo(np.float32).min), -np.inf])
def test_a_mask_stays_float_and_is_named(tmp_path: Path, masked: float) -> None:
    told = _Notes()
    job = _job(
        tmp_path,
        "ort_static",
        [
            node("MatMul", ["x", "w"], ["a"], "scores"),
            node("Where", ["hidden", "mask", "a"], ["b"], "hide"),
            node("Reshape", ["b", "rows"], ["c"], "rows"),
            node("Softmax", ["c"], ["p"], "softmax", axis=-1),
            node("MatMul", ["p", "v"], ["y"], "head"),
        ],
        {
            "w": _drawn(16, 8),
            "v": _drawn(4, 4),
            "hidden": np.array([False, False, True, True] * 2),
            "mask": np.float32(masked),
            "rows": np.array([2, 4]),
        },
        (2, 4),
        progress=told,
    )
    assert _sqnr_db(job) > 25
    assert told.notes == ["left float, for 8 bits hold nothing beside a mask: hide, rows, softmax"]


@pytest.mark.parametrize("method", ["ort_static", "ort_dynamic"])
def test_names_that_the_quantizer_would_give_itself(tmp_path: Path, method: str) -> None:
    job = _job(
        tmp_path,
        method,
        [
            node("MatMul", ["x", "w"], ["x_scale"]),
            node("Relu", ["x_scale"], ["x_quantized"]),
            node("MatMul", ["x_quantized", "w_quantized"], ["w_zero_point"]),
            node("MatMul", ["w_zero_point", "w_scale"], ["y"]),
        ],
        {"w": _drawn(16, 4), "w_quantized": _drawn(4, 4), "w_scale": _drawn(4, 5)},
        (1, 5),
    )
    assert _sqnr_db(job) > 25


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("method", ["ort_static", "ort_dynamic"])
def test_a_weight_without_columns_stays_as_it_is(
    tmp_path: Path, method: str, per_channel: bool
) -> None:
    job = _job(
        tmp_path,
        method,
        [
            node("MatMul", ["x", "w"], ["a"]),
            node("MatMul", ["x", "none"], ["b"]),
            node("Concat", ["a", "b"], ["y"], axis=1),
        ],
        {"w": _drawn(16, 4), "none": np.zeros((16, 0), np.float32)},
        (1, 4),
        per_channel=per_channel,
    )
    assert _sqnr_db(job) > 25
