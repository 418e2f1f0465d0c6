"""Static INT8: what the artefact is, what it was told, and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.artefact import inspect_artefact
from edgekit.cache import Cache
from edgekit.calibrate import ESTIMATORS
from edgekit.errors import ConversionError, RecipeError
from edgekit.methods import METHODS, load_method
from edgekit.methods.method import Quantized, QuantizeJob
from edgekit.numerics.fidelity import Fidelity, fidelity
from edgekit.recipe.schema import ModuleRule
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.tflite.facts import graph_facts
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import Graph, parse_graph, read_graph
from edgekit.types import KEPT_FLOAT, ArtefactFacts, FloatOp, Sample
from tests import tflite_models as models
from tests.methods.conftest import MakeJob, samples
from tests.tflite import graphs

DTYPES = ("int8", "uint8", "float32")


def _quantized(job: QuantizeJob) -> Quantized:
    return load_method("litert_static").quantize(job)


def _graph(job: QuantizeJob) -> Graph:
    return read_graph(_quantized(job).artefact.path)


def _compared(job: QuantizeJob) -> tuple[Fidelity, ArtefactFacts]:
    """Float against INT8 on the calibration samples, of which nothing is clipped."""
    artefact = _quantized(job).artefact
    with job.model.open_session(1) as before, open_session(artefact.path) as after:
        expected, found = (predict(session, job.calibration) for session in (before, after))
    primary = job.model.outputs[0]
    compared = fidelity(expected, found, primary=primary, classification=False)
    return compared, graph_facts(read_graph(artefact.path))


@pytest.mark.parametrize(("input_dtype", "output_dtype"), list(product(DTYPES, DTYPES)))
def test_inputs_and_outputs_have_the_types_asked_for(
    make_job: MakeJob, input_dtype: str, output_dtype: str
) -> None:
    job = make_job(models.two_output_model(), input_dtype=input_dtype, output_dtype=output_dtype)
    compared, facts = _compared(job)
    assert facts.input_dtypes == (input_dtype,)
    assert facts.output_dtypes == (output_dtype, output_dtype)
    assert facts.float_ops == ()
    assert facts.int8_mac_fraction == 1.0
    assert compared.outputs.keys() == {"hidden", "scores"}
    assert all(output.sqnr_db > 30 for output in compared.outputs.values())


def test_one_weight_scale_a_channel_or_one_for_all(make_job: MakeJob) -> None:
    def scales(graph: Graph) -> list[int]:
        kernels = [graph.tensors[op.inputs[1]] for op in graph.ops]
        return [len(kernel.scales) for kernel in kernels]

    data = models.float_model()
    assert scales(_graph(make_job(data))) == [models.FILTERS, models.CLASSES]
    assert scales(_graph(make_job(data, per_channel=False))) == [1, 1]


def test_the_same_bytes_every_time_and_with_any_number_of_threads(make_job: MakeJob) -> None:
    data = graphs.activated("LEAKY_RELU", 0.1)
    digests = {
        hashlib.sha256(
            _quantized(make_job(data, threads=threads)).artefact.path.read_bytes()
        ).hexdigest()
        for threads in (1, 1, 2)
    }
    assert len(digests) == 1


def test_ranges_in_the_file_are_those_that_were_seen(make_job: MakeJob) -> None:
    job = make_job(models.two_output_model())
    graph = _graph(job)
    with job.model.open_session(1) as session:
        seen = predict(session, job.calibration).outputs
    values = np.concatenate([sample.feeds["x"] for sample in job.calibration])
    expected = {"serving_x": values, "hidden": seen["hidden"], "serving_scores": seen["scores"]}
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for name, array in expected.items():
        low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
        (scale,), (zero,) = tensors[name].scales, tensors[name].zero_points
        assert scale == pytest.approx((high - low) / 255, rel=1e-5), name
        assert -128 <= zero <= 127  # zero is one of the stored values
        assert zero == pytest.approx(-128 - low / scale, abs=0.51)


def _scales(job: QuantizeJob) -> dict[str, float]:
    return {tensor.name: tensor.scales[0] for tensor in _graph(job).tensors if tensor.scales}


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_the_ends_of_the_model_are_never_clipped(make_job: MakeJob, estimator: str) -> None:
    exact = _scales(make_job(models.float_model()))
    found = _scales(make_job(models.float_model(), estimator=estimator))
    for end in ("serving_x", "serving_scores"):
        assert found[end] == exact[end]
    assert found["hidden"] <= exact["hidden"]


def test_a_rule_gives_some_layers_an_estimator_of_their_own(make_job: MakeJob) -> None:
    def hidden(estimator: str, rule: ModuleRule | None = None) -> float:
        rules = () if rule is None else (rule,)
        return _scales(make_job(models.float_model(), estimator=estimator, modules=rules))["hidden"]

    mean = hidden("mean_minmax")
    assert mean < hidden("minmax")
    assert hidden("minmax", ModuleRule(name="hidden", estimator="mean_minmax")) == mean
    assert hidden("mean_minmax", ModuleRule(name="hidden", estimator="mse")) == hidden("mse")


class _Counted:
    """A dataset that counts how often its samples are run, and keeps its fingerprint."""

    def __init__(self, folder: Path) -> None:
        self._dataset = samples(folder)
        self.runs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Sample]:
        self.runs += 1
        return iter(self._dataset)


def test_the_samples_are_run_once_for_one_graph(make_job: MakeJob, tmp_path: Path) -> None:
    dataset, cache = _Counted(tmp_path), Cache(tmp_path / "cache")

    def run(data: bytes, **options: Any) -> Quantized:
        return _quantized(make_job(data, calibration=dataset, cache=cache, **options))

    first = run(models.float_model())
    again = run(models.float_model(), output_dtype="float32", threads=2)
    assert (first.calibration_cached, again.calibration_cached, dataset.runs) == (False, True, 1)
    run(models.float_model(), estimator="mean_minmax")
    assert dataset.runs == 1
    run(models.float_model(), estimator="mse")  # needs more than extremes
    assert dataset.runs == 2
    run(models.float_model(), estimator="entropy")
    assert dataset.runs == 2
    other = run(models.float_model(seed=1))
    assert (other.calibration_cached, dataset.runs) == (False, 3)


def test_remembered_ranges_give_the_same_bytes(make_job: MakeJob, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    jobs = [make_job(models.float_model(), cache=cache) for _ in range(2)]
    first, again = (_quantized(job) for job in jobs)
    assert again.calibration_cached
    assert first.artefact.path.read_bytes() == again.artefact.path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "alpha"),
    [
        ("LEAKY_RELU", 0.1),
        ("LEAKY_RELU", 1.7),
        ("LEAKY_RELU", -0.4),
        ("PRELU", [[[0.1, 0.6]]]),
        ("PRELU", [[[-0.3, 1.5]]]),
        ("PRELU", [[[0.25]]]),
        ("RELU6", None),
        ("RELU_N1_TO_1", None),
    ],
)
def test_rewritten_activations_run_in_int8_and_stay_close(
    make_job: MakeJob, kind: str, alpha: Any
) -> None:
    job = make_job(graphs.activated(kind, alpha))
    compared, facts = _compared(job)
    assert facts.float_ops == ()
    assert all(output.sqnr_db > 30 for output in compared.outputs.values()), compared
    notes = _quantized(job).artefact.notes
    assert notes["rewritten"] == [f"{kind} at act"]


class _Notes:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.notes: list[str] = []

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[_Notes]:
        self.tasks.append(description)
        yield self

    def advance(self, steps: int = 1) -> None:
        return None

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.notes.append(message)


def test_progress_tells_the_steps_and_the_rewrites(make_job: MakeJob) -> None:
    progress = _Notes()
    _quantized(make_job(graphs.activated("LEAKY_RELU", 0.1), progress=progress))
    assert progress.tasks == ["Calibrating", "Quantizing"]
    assert progress.notes == ["rewrote LEAKY_RELU at act exactly, so that it can run in INT8"]


@pytest.mark.parametrize("kind", ["HARD_SWISH", "LOGISTIC", "TANH"])
def test_activations_the_engine_knows_run_in_int8(make_job: MakeJob, kind: str) -> None:
    compared, facts = _compared(make_job(graphs.activated(kind)))
    assert facts.float_ops == ()
    assert compared.outputs["scores"].sqnr_db > 25


@pytest.mark.parametrize("kind", ["ELU", "SIN", "FLOOR"])
def test_what_the_engine_leaves_float_is_named(make_job: MakeJob, kind: str) -> None:
    job = make_job(graphs.activated(kind))
    compared, facts = _compared(job)
    assert [str(op) for op in facts.float_ops] == [f"{kind} at act"]
    assert compared.outputs.keys() == {"act", "scores"}  # and the file can be run by its names


@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (1, 4, 5, 4)])
def test_a_constant_of_a_batched_product_has_one_scale(
    make_job: MakeJob, shape: tuple[int, ...]
) -> None:
    random = np.random.default_rng(0)
    graph = models.Graph()
    x = graph.tensor("x", models.INPUT_SHAPE)
    # Channels of very different sizes: a scale of the wrong one would show.
    constant = random.normal(size=shape) * np.geomspace(0.01, 1, shape[-1])
    weights = graph.tensor("weights", shape, data=constant)
    left = shape[-2:] == (5, 4)
    out = graph.tensor("out", (1, 4, 5, 3) if left else (1, 4, 4, 5))
    operands = [weights, x] if left else [x, weights]
    graph.operator("BATCH_MATMUL", operands, [out], table="BatchMatMulOptions")
    graph.inputs, graph.outputs = {"x": x}, {"out": out}
    compared, facts = _compared(make_job(models.write([graph], {"serving_default": 0})))
    assert facts.float_ops == ()
    assert compared.sqnr_db > 30


@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-40, 1e-36, 1e-12, 1e-7])
def test_a_channel_of_tiny_weights_keeps_its_bias(make_job: MakeJob, size: float) -> None:
    weights = models.weights()
    weights.filter[0] *= size
    weights.filter_bias[0] = 1.5
    weights.matrix[2] *= size
    weights.matrix_bias[2] = -2.0
    data = models.write([models.float_graph(weights)], {"serving_default": 0})
    job = make_job(data, output_dtype="float32")
    artefact = _quantized(job).artefact
    with job.model.open_session(1) as before, open_session(artefact.path) as after:
        expected, found = (predict(session, job.calibration) for session in (before, after))
    name = job.model.outputs[0]
    assert fidelity(expected, found, primary=name, classification=False).sqnr_db > 30
    np.testing.assert_allclose(found.outputs[name][:, 2], -2.0, atol=0.05)
    scales = {tensor.name: tensor.scales for tensor in read_graph(artefact.path).tensors}
    assert min(scales["kernel_bias"]) > 1.5 / 2**31


def test_a_layer_that_is_zero_on_all_samples_is_loaded_and_stays_zero(make_job: MakeJob) -> None:
    weights = models.weights()
    weights.filter_bias[:] = -100.0  # behind it, a ReLU
    data = models.write([models.float_graph(weights)], {"serving_default": 0})
    job = make_job(data, output_dtype="float32")
    artefact = _quantized(job).artefact
    with open_session(artefact.path) as session:
        (found,) = predict(session, job.calibration).outputs.values()
    np.testing.assert_allclose(found, np.broadcast_to(weights.matrix_bias, found.shape), atol=0.02)
    (scale,) = next(t.scales for t in read_graph(artefact.path).tensors if t.name == "hidden")
    assert scale == pytest.approx(1 / 255)


def test_two_tensors_of_one_name_get_ranges_of_their_own(make_job: MakeJob) -> None:
    model = unpack(models.two_output_model())
    for index in (0, 3, 6):
        model.subgraphs[0].tensors[index].name = b"same"
    job = make_job(pack(model))
    plain, _ = _compared(make_job(models.two_output_model()))
    twins, _ = _compared(job)
    assert twins.outputs == plain.outputs


def test_a_free_batch_stays_free(make_job: MakeJob) -> None:
    graph = _graph(make_job(models.free_batch_model()))
    assert graph.tensors[graph.inputs[0]].free_axes == (0,)


def test_samples_that_overflow_the_model_are_refused_by_the_tensors_name(
    make_job: MakeJob,
) -> None:
    huge = models.weights()
    huge.matrix[:] = 3e38
    job = make_job(models.write([models.float_graph(huge)], {"serving_default": 0}))
    with pytest.raises(ConversionError, match=r"of 40 samples make NaN or infinity at 'serving_sc"):
        _quantized(job)
    assert not (job.folder / "model.tflite").exists()


def test_a_refusal_of_the_engine_is_readable(make_job: MakeJob) -> None:
    job = make_job(models.two_signature_model())
    with pytest.raises(ConversionError, match="ai-edge-quantizer refused the graph: ") as caught:
        _quantized(job)
    assert caught.value.hint == "Choose another quantize.method, and report it."
    assert "Traceback" not in str(caught.value)
    assert not (job.folder / "model.tflite").exists()


def test_control_flow_is_named(make_job: MakeJob) -> None:
    main, branch = models.Graph(), models.Graph()
    x = main.tensor("x", models.INPUT_SHAPE)
    condition = main.tensor("condition", (), "bool", np.array(True))
    y = main.tensor("y", models.INPUT_SHAPE)
    main.operator(
        "IF", [condition, x], [y], table="IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=1
    )
    main.inputs, main.outputs = {"x": x}, {"y": y}
    inside = branch.tensor("inside", models.INPUT_SHAPE)
    made = branch.tensor("made", models.INPUT_SHAPE)
    branch.operator("LOGISTIC", [inside], [made])
    branch.inputs, branch.outputs = {"inside": inside}, {"made": made}
    job = make_job(models.write([main, branch], {"serving_default": 0}))
    with pytest.raises(ConversionError, match="operators inside IF at y") as caught:
        _quantized(job)
    assert "litert_weight_only" in (caught.value.hint or "")


def test_nothing_is_printed(make_job: MakeJob, capfd: pytest.CaptureFixture[str]) -> None:
    _quantized(make_job(models.float_model()))
    assert capfd.readouterr() == ("", "")


def test_the_table_of_methods_says_what_the_method_makes(make_job: MakeJob) -> None:
    entry = METHODS["litert_static"]
    job = make_job(models.float_model())
    artefact = _quantized(job).artefact
    assert job.model.kind in entry.accepts
    assert artefact.format is entry.produces
    assert artefact.path == job.folder / f"model.{entry.produces.value}"
    assert artefact.method == "litert_static"


def test_a_rule_leaves_an_operator_float_and_says_so(make_job: MakeJob) -> None:
    data = models.two_output_model()
    plain = parse_graph(data)
    layer = plain.layer(plain.ops[0])
    rule = ModuleRule(place="first", method="float")
    job = make_job(data, modules=(rule,), input_dtype="float32", output_dtype="float32")
    artefact = _quantized(job).artefact
    reason = "the recipe leaves it out (quantize.modules[0])"
    assert artefact.notes[KEPT_FLOAT] == {layer: reason}
    facts = inspect_artefact(artefact, job.calibration)
    assert facts.float_ops == (FloatOp(plain.ops[0].name, layer, reason),)
    assert facts.int8_mac_fraction is not None
    assert 0 < facts.int8_mac_fraction < 1


def test_a_rule_that_matches_nothing_is_an_error(make_job: MakeJob) -> None:
    job = make_job(models.float_model(), modules=(ModuleRule(name="no_such", method="float"),))
    with pytest.raises(RecipeError, match="matches no operator of the model"):
        _quantized(job)
