"""Static INT8 for ONNX Runtime: right on this processor, and what is left float is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.cache import Cache
from edgekit.errors import ConversionError, RecipeError
from edgekit.methods import load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.onnx.facts import inspect
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModuleRule
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.types import KEPT_FLOAT
from tests import onnx_models
from tests.methods.onnx_jobs import blocks, branching, onnx_job


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("ort_static").quantize(job)


def _sqnr_db(job: QuantizeJob, file: Path) -> float:
    with (
        job.model.open_session(1) as before,
        open_session(file, runtime="onnxruntime") as after,
    ):
        expected, found = (predict(session, job.calibration) for session in (before, after))
    primary = job.model.outputs[0]
    return fidelity(expected, found, primary=primary, classification=False).sqnr_db


def _answers(file: Path, job: QuantizeJob, *, optimized: bool) -> Any:
    """On channels-first feeds; not optimized, the pairs are computed in float as they stand."""
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return np.concatenate(
        [session.run(None, {"x": s.feeds["x"].transpose(0, 3, 1, 2)})[0] for s in job.calibration]
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_answers_are_close_and_all_but_the_mean_is_int8(
    tmp_path: Path,
    per_channel: bool,
) -> None:
    job = onnx_job(tmp_path, blocks(), "ort_static", per_channel=per_channel)
    file = _quantized(job).artefact.path
    onnx.checker.check_model(str(file), full_check=True)
    facts = inspect(file)
    assert _sqnr_db(job, file) > (30 if per_channel else 25)
    assert facts.int8_mac_fraction == 1.0
    assert [str(op) for op in facts.float_ops or ()] == ["ReduceMean at mean"]
    assert (facts.input_dtypes, facts.output_dtypes) == (("float32",), ("float32",))
    scales = [
        numpy_helper.to_array(tensor).size
        for tensor in onnx.load(file).graph.initializer
        if tensor.name == "w4_scale"
    ]
    assert scales == [5 if per_channel else 1]


def test_nothing_saturates_however_large_the_sums(tmp_path: Path) -> None:
    # All weights equal, all activations near the end of their range: pairs of 255 * 127 leave 16
    # bits where a processor adds two products at a time.
    made = onnx_models.model(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv")],
        [onnx_models.info("x", (1, 3, 4, 4))],
        [onnx_models.info("y", (1, 8, 2, 2))],
        [numpy_helper.from_array(np.full((8, 3, 3, 3), 0.5, np.float32), "w")],
    )
    job = onnx_job(
        tmp_path, made, "ort_static", draw=lambda r, s: r.uniform(5, 6, s).astype(np.float32)
    )
    file = _quantized(job).artefact.path
    reference = _answers(file, job, optimized=False)
    np.testing.assert_allclose(_answers(file, job, optimized=True), reference, rtol=0.01)
    assert reference.min() > 60


def test_the_same_bytes_every_time_and_with_any_number_of_threads(
    tmp_path: Path,
) -> None:
    jobs = [onnx_job(tmp_path, blocks(), "ort_static", threads=threads) for threads in (1, 1, 3)]
    assert len({_quantized(job).artefact.path.read_bytes() for job in jobs}) == 1


def test_statistics_are_kept_and_serve_every_estimator(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path / "shared")
    made = {
        estimator: _quantized(
            onnx_job(tmp_path, blocks(), "ort_static", cache=cache, estimator=estimator)
        )
        for estimator in ("minmax", "mean_minmax")
    }
    assert [each.calibration_cached for each in made.values()] == [False, True]

    def scales(quantized: Quantized) -> dict[str, float]:
        tensors = onnx.load(quantized.artefact.path).graph.initializer
        return {
            name: float(numpy_helper.to_array(t))
            for t in tensors
            if (name := t.name) in ("x_scale", "c3_scale", "y_scale")
        }

    exact, mean = (scales(each) for each in made.values())
    assert mean["c3_scale"] < exact["c3_scale"]
    for end in ("x_scale", "y_scale"):  # neither what is given nor the answer is ever clipped
        assert mean[end] == exact[end]


@pytest.mark.parametrize("estimator", ["percentile", "mse", "entropy"])
def test_values_are_counted_where_the_estimator_needs_them(tmp_path: Path, estimator: str) -> None:
    cache = Cache(tmp_path / "shared")
    jobs = [
        onnx_job(tmp_path, blocks(), "ort_static", cache=cache, estimator=each)
        for each in ("minmax", estimator, estimator)
    ]
    made = [_quantized(job) for job in jobs]
    assert [each.calibration_cached for each in made] == [False, False, True]
    assert _sqnr_db(jobs[1], made[1].artefact.path) > 25


def test_ranges_are_the_extremes_of_the_samples(tmp_path: Path) -> None:
    job = onnx_job(tmp_path, blocks(), "ort_static")
    values = np.concatenate([sample.feeds["x"] for sample in job.calibration])
    tensors = {t.name: t for t in onnx.load(_quantized(job).artefact.path).graph.initializer}
    scale = numpy_helper.to_array(tensors["x_scale"])
    assert scale == pytest.approx((values.max() - values.min()) / 255, rel=1e-6)


def test_rules_leave_nodes_float_by_name_type_and_place(
    tmp_path: Path,
) -> None:
    def float_ops(*rules: ModuleRule) -> set[str]:
        artefact = _quantized(onnx_job(tmp_path, blocks(), "ort_static", modules=rules)).artefact
        assert set(artefact.notes[KEPT_FLOAT].values()) == {
            "the recipe leaves it out (quantize.modules[0])"
        }
        # A Clip is only INT8 as a part of what is in front of it.
        return {op.layer for op in inspect(artefact.path).float_ops or ()} - {"mean", "clip"}

    assert float_ops(ModuleRule(name="block", method="float")) == {
        "block/deep",
        "block/point",
        "block/add",
    }
    assert float_ops(ModuleRule(type="Gemm", method="float")) == {"head"}
    assert float_ops(ModuleRule(place="first", method="float")) == {"front"}
    assert float_ops(
        ModuleRule(type="Conv", method="float"), ModuleRule(name="block/*", method="static")
    ) == {"front"}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (ModuleRule(name="blok/deep", method="float"), "did you mean 'block/deep'?"),
        (ModuleRule(name="nowhere.at.all", method="float"), "nodes are called front"),
        (ModuleRule(type="Convolution", method="float"), "Conv"),
        (ModuleRule(name="head", method="dynamic"), "left float or made static"),
        (ModuleRule(name="head", method="float", weight_bits=4), "no weight_bits"),
    ],
)
def test_a_rule_that_matches_nothing_or_asks_for_more_is_an_error(
    tmp_path: Path,
    rule: ModuleRule,
    said: str,
) -> None:
    with pytest.raises(RecipeError, match=r"quantize\.modules\[0\]") as caught:
        _quantized(onnx_job(tmp_path, blocks(), "ort_static", modules=(rule,)))
    assert said in str(caught.value)


def test_nothing_to_quantize_is_an_error(tmp_path: Path) -> None:
    inputs = (InputSpec("x", (1, 4), "float32", "any"),)
    with pytest.raises(
        ConversionError, match=r"nothing in the model can be made static INT8.*Relu"
    ):
        _quantized(onnx_job(tmp_path, onnx_models.unary("Relu"), "ort_static", inputs=inputs))


def test_float16_is_an_error_that_names_the_tensors(tmp_path: Path) -> None:
    made = blocks()
    for tensor in made.graph.initializer:
        if tensor.name == "b4":
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, "half"))
    made.graph.node[-1].input[2] = "b4"
    cast = onnx.helper.make_node("Cast", ["half"], ["b4"], "widen", to=onnx.TensorProto.FLOAT)
    made.graph.node.insert(0, cast)
    with pytest.raises(ConversionError, match="float16 weights: half"):
        _quantized(onnx_job(tmp_path, made, "ort_static"))


def test_an_older_operator_set_is_brought_up(tmp_path: Path) -> None:
    job = onnx_job(tmp_path, blocks(opset=11), "ort_static")
    artefact = _quantized(job).artefact
    assert artefact.notes["opset"] == 13
    assert artefact.notes["prepared"] == ["operator set 11 brought up to 13"]
    assert _sqnr_db(job, artefact.path) > 30


def test_one_sample_is_enough_to_calibrate(tmp_path: Path) -> None:
    job = onnx_job(tmp_path, blocks(), "ort_static", rows=1)
    assert _sqnr_db(job, _quantized(job).artefact.path) > 25


def test_what_lies_inside_an_if_stays_float_and_is_named(
    tmp_path: Path,
) -> None:
    class Noting(SilentProgress):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    progress = Noting()
    job = onnx_job(tmp_path, branching(), "ort_static", progress=progress)
    artefact = _quantized(job).artefact
    assert progress.notes == ["what lies inside stays float: If at choose"]
    assert _sqnr_db(job, artefact.path) > 25
    layers = {op.layer for op in inspect(artefact.path).float_ops or ()}
    assert {"choose/then_mul", "choose/else_mul"} <= layers


def test_a_clip_away_from_zero_stays(tmp_path: Path) -> None:
    made = blocks()
    for tensor in made.graph.initializer:
        if tensor.name == "low":
            tensor.CopyFrom(numpy_helper.from_array(np.float32(1), "low"))
    job = onnx_job(tmp_path, made, "ort_static")
    artefact = _quantized(job).artefact
    assert "Clip" in {node.op_type for node in onnx.load(artefact.path).graph.node}
    assert _sqnr_db(job, artefact.path) > 30


def test_a_nan_on_the_way_is_named(tmp_path: Path) -> None:
    job = onnx_job(
        tmp_path, blocks(), "ort_static", draw=lambda r, s: np.full(s, 3e38).astype(np.float32)
    )
    with pytest.raises(ConversionError, match="NaN or infinity"):
        _quantized(job)


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    inside = onnx_job(tmp_path, blocks(), "ort_static")
    beside = onnx_job(tmp_path, blocks(), "ort_static")
    onnx.save_model(
        blocks(),
        beside.model.value,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    made = [_quantized(job).artefact.path.read_bytes() for job in (inside, beside)]
    assert made[0] == made[1]


def test_an_output_keeps_the_values_that_a_relu_behind_it_cuts_off(tmp_path: Path) -> None:
    made = onnx_models.model(
        [
            onnx.helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
            onnx.helper.make_node("Relu", ["c"], ["y"], "relu"),
        ],
        [onnx_models.info("x", (1, 3, 4, 4))],
        [onnx_models.info(name, (1, 8, 2, 2)) for name in ("c", "y")],
        [
            numpy_helper.from_array(
                np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32), "w"
            )
        ],
    )
    job = onnx_job(tmp_path, made, "ort_static")
    assert _sqnr_db(job, _quantized(job).artefact.path) > 30


def _products() -> dict[str, tuple[list[Any], dict[str, tuple[int, ...]]]]:
    """Nodes from ``x`` [4, 8] to ``y``, and the shapes of their constants."""
    node = onnx.helper.make_node
    plain = {"w": (8, 8)}
    return {
        "a bias of a row": ([node("Gemm", ["x", "w", "b"], ["y"], "g")], {**plain, "b": (1, 8)}),
        "a bias of a column": ([node("Gemm", ["x", "w", "b"], ["y"], "g")], {**plain, "b": (4, 1)}),
        "a scalar bias": ([node("Gemm", ["x", "w", "b"], ["y"], "g")], {**plain, "b": ()}),
        "a bias that is computed": ([node("Gemm", ["x", "w", "x"], ["y"], "g", beta=0.5)], plain),
        "a bias that is a value too": (
            [node("Gemm", ["x", "w", "b"], ["h"], "g"), node("Add", ["h", "b"], ["y"], "a")],
            {**plain, "b": (8,)},
        ),
        "a residual": (
            [node("MatMul", ["x", "w"], ["h"], "m"), node("Add", ["h", "x"], ["y"], "a")],
            plain,
        ),
        "a stack of matrices": ([node("MatMul", ["x", "w"], ["y"], "m")], {"w": (3, 8, 8)}),
        "a constant on the left": ([node("MatMul", ["w", "x"], ["y"], "m")], {"w": (8, 4)}),
        "an operator of the runtime": (
            [
                node("MatMul", ["x", "w"], ["h"], "one"),
                node("QuickGelu", ["h"], ["q"], "gelu", domain="com.microsoft"),
                node("MatMul", ["q", "w"], ["y"], "two"),
            ],
            plain,
        ),
    }


@pytest.mark.parametrize("what", _products())
def test_products_are_int8_in_the_runtime_too(tmp_path: Path, what: str) -> None:
    nodes, shapes = _products()[what]
    random = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(np.asarray(random.normal(size=shape), np.float32), name)
        for name, shape in shapes.items()
    ]
    out = (8, 8) if what == "a constant on the left" else (*shapes["w"][:-2], 4, 8)
    made = onnx_models.model(
        [onnx.helper.make_node("Squeeze", ["rows", "first"], ["x"], "rows"), *nodes],
        [onnx_models.info("rows", (1, 4, 8))],
        [onnx_models.info("y", out)],
        [*constants, numpy_helper.from_array(np.array([0]), "first")],
        domains=["com.microsoft"],
    )
    job = onnx_job(
        tmp_path, made, "ort_static", inputs=(InputSpec("rows", (1, 4, 8), "float32", "any"),)
    )
    file = _quantized(job).artefact.path
    assert _sqnr_db(job, file) > 25
    assert inspect(file).int8_mac_fraction == 1.0
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    loaded = {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}
    assert not loaded & {"MatMul", "Gemm", "FusedMatMul", "FusedGemm"}, loaded
