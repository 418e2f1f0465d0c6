"""Mixed precision on artefacts: what is raised runs, is closer to float, and is accounted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cache import Cache
from edgekit.choose import Candidate
from edgekit.errors import ConversionError
from edgekit.methods.litert_build import Built, build, rebuild, rebuild_raised
from edgekit.methods.litert_mixed import Remedy, raise_units, raised
from edgekit.methods.litert_units import INT16_OPERATORS, units
from edgekit.methods.method import QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.progress import SilentProgress
from edgekit.runtimes.litert import LiteRTSession
from edgekit.runtimes.predict import predict
from edgekit.tflite.constants import constant_array, with_constants
from edgekit.tflite.facts import graph_facts
from edgekit.tflite.flatbuffer import unpack
from edgekit.tflite.graph import Graph, Tensor, parse_graph
from edgekit.types import RAISED_TO_FLOAT, Array
from tests.methods import mixed_graphs
from tests.methods.conftest import MakeJob, samples


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    warn = note


def _job(make_job: MakeJob, data: bytes, sqnr_db_min: float | None = None, **options: Any) -> Any:
    job = make_job(data, **options)
    return replace(job, goal=replace(job.goal, sqnr_db_min=sqnr_db_min))


def _sqnr_db(job: QuantizeJob, built: Built) -> float:
    data = job.model.value.read_bytes()
    with LiteRTSession(data) as before, LiteRTSession(built.quantized) as after:
        expected, found = (predict(session, job.calibration) for session in (before, after))
    primary = job.goal.primary
    return fidelity(expected, found, primary=primary, classification=False).sqnr_db


def _raised(job: QuantizeJob, before: Built, *remedies: Remedy) -> Built | None:
    def measure(built: Built) -> Candidate:
        return Candidate("", 0.0, sqnr_db={"": _sqnr_db(job, built)})

    return raised(job, before, measure, job.progress.warn, remedies)


def _ground(job: QuantizeJob) -> Built:
    return build(job, job.model.value.read_bytes(), "minmax")


def _tensors(graph: Graph) -> dict[str, Tensor]:
    return {tensor.name: tensor for tensor in graph.tensors}


def _values(data: bytes, index: int) -> Array:
    model = unpack(data)
    return constant_array(model, model.subgraphs[0].tensors[index])


@pytest.mark.parametrize("to", ["int16", "float32"])
def test_the_damaged_layer_is_raised_and_the_target_holds(make_job: MakeJob, to: str) -> None:
    said = Said()
    job = _job(make_job, mixed_graphs.chain(), 20.0, raise_to=to, progress=said)
    before = _ground(job)
    assert _sqnr_db(job, before) < 15
    after = _raised(job, before)
    assert after is not None
    assert _sqnr_db(job, after) > 21
    assert after.raised == {"conv5": to, "conv6": to}
    tensors = _tensors(parse_graph(after.quantized))
    assert tensors[mixed_graphs.DAMAGED].dtype == to
    assert {tensors[name].dtype for name in ("conv0", "conv4", "conv8", "mean")} == {"int8"}
    notes = after.notes["raised"]
    assert notes["layers"].keys() == {"conv5"}
    assert notes["bytes"] == len(after.quantized) - len(before.quantized)
    assert notes["latency_ratio"] > 0
    assert said.lines[-1].startswith("raised 1 layer (2 operators), ")


def test_layers_of_int16_leave_a_full_integer_file(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.chain(), 20.0, raise_to="int16")
    after = _raised(job, _ground(job))
    assert after is not None
    facts = graph_facts(parse_graph(after.quantized))
    assert facts.float_ops == ()
    assert facts.int8_mac_fraction == 1.0
    assert (facts.input_dtypes, facts.output_dtypes) == (("int8",), ("int8",))
    assert after.kept == {}


def test_layers_of_float_are_named_with_their_reason(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.chain(), 20.0, raise_to="float32")
    after = _raised(job, _ground(job))
    assert after is not None
    facts = graph_facts(parse_graph(after.quantized))
    assert facts.float_ops is not None
    assert {op.layer for op in facts.float_ops} == after.kept.keys() == {"conv5", "conv6"}
    assert set(after.kept.values()) == {RAISED_TO_FLOAT}
    assert facts.output_dtypes == ("int8",)


@pytest.mark.parametrize("to", ["int16", "float32"])
def test_ends_keep_their_types_beside_raised_layers(make_job: MakeJob, to: str) -> None:
    job = _job(make_job, mixed_graphs.around("TANH"), raise_to=to, output_dtype="uint8")
    after = rebuild_raised(
        job, _ground(job), {"act": to, "scores": to}, ["act"], job.model.value.read_bytes()
    )
    graph = parse_graph(after.quantized)
    assert [graph.tensors[index].dtype for index in graph.outputs] == ["uint8"]
    assert _tensors(graph)["act"].dtype == to


def test_nothing_is_raised_unasked(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.chain(), 20.0)

    def measure(built: Built) -> Candidate:
        raise AssertionError("there is nothing to measure")

    assert raised(job, _ground(job), measure, job.progress.warn) is None


def test_nothing_is_raised_where_the_limits_hold(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.chain(), -20.0, raise_to="int16")
    assert _raised(job, _ground(job)) is None


def test_a_graph_with_nothing_to_raise_is_left_alone(make_job: MakeJob) -> None:
    said = Said()
    data = mixed_graphs.around("EXP")
    job = _job(make_job, data, 90.0, raise_to="int16", progress=said)
    assert _raised(job, _ground(job)) is None
    assert "no layer can be raised to int16" in said.lines[-1]


def test_without_limits_raising_stops_at_the_knee(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.chain(), raise_to="int16")
    after = _raised(job, _ground(job))
    assert after is not None
    assert after.notes["raised"]["layers"].keys() == {"conv5"}


@pytest.mark.parametrize("limit_db", [20.0, None])
@pytest.mark.parametrize("to", ["int16", "float32"])
def test_what_raised_layers_leave_to_mend_is_mended(
    make_job: MakeJob, to: str, limit_db: float | None
) -> None:
    """Every layer was given other weights, which the remedy takes back; the limit asks for it."""
    data = mixed_graphs.chain()
    job = _job(make_job, data, limit_db, raise_to=to)
    graph = parse_graph(data)
    kernels = [op.inputs[1] for op in graph.ops if op.name == "CONV_2D"]
    moved = {index: _values(data, index) * np.float32(1.05) for index in kernels}
    spoilt = rebuild(job, _ground(job), with_constants(data, moved))
    seen: list[Built] = []

    def remedy(built: Built) -> Built:
        seen.append(built)
        return rebuild(job, built, data)

    after = _raised(job, spoilt, remedy)
    assert after is not None
    assert all(built.raised for built in seen)
    assert after.raised.keys() >= {"conv5", "conv6"}
    for index in kernels:
        assert np.array_equal(_values(after.data, index), _values(data, index))
    assert _sqnr_db(job, after) > _sqnr_db(job, seen[-1]) + 5


def test_limits_out_of_reach_raise_nothing_and_say_so(make_job: MakeJob) -> None:
    said = Said()
    job = _job(make_job, mixed_graphs.chain(), 90.0, raise_to="int16", progress=said)
    assert _raised(job, _ground(job)) is None
    assert any("do not hold on dev" in line for line in said.lines)


def test_sensitivities_are_measured_once(make_job: MakeJob, tmp_path: Path) -> None:
    cache, data = Cache(tmp_path / "cache"), mixed_graphs.chain()
    dataset = samples(tmp_path)

    def run(**options: Any) -> None:
        job = _job(make_job, data, 20.0, cache=cache, calibration=dataset, **options)
        _raised(job, _ground(job))

    def entries() -> int:
        shelf = tmp_path / "cache" / "sensitivity"
        return sum(not entry.name.startswith(".") for entry in shelf.iterdir())

    run(raise_to="int16")
    assert entries() == 1
    run(raise_to="int16", input_dtype="float32")
    assert entries() == 1
    run(raise_to="float32")  # its weights count too
    assert entries() == 2


def test_float_layers_get_their_own_weights_back(make_job: MakeJob) -> None:
    data = mixed_graphs.chain()
    job = _job(make_job, data, 20.0, raise_to="float32")
    graph = parse_graph(data)
    kernels = [op.inputs[1] for op in graph.ops if op.name == "CONV_2D"]
    moved = {index: _values(data, index) + np.float32(0.001) for index in kernels}
    changed = rebuild(job, _ground(job), with_constants(data, moved))
    after = _raised(job, changed)
    assert after is not None
    for op in graph.ops[: len(kernels)]:
        same = np.array_equal(_values(after.data, op.inputs[1]), _values(data, op.inputs[1]))
        assert same == (graph.layer(op) in after.raised)


@pytest.mark.parametrize("kind", sorted(INT16_OPERATORS))
def test_int16_islands_run_as_such_and_lose_nothing(make_job: MakeJob, kind: str) -> None:
    data = mixed_graphs.around(kind)
    job = _job(make_job, data, raise_to="int16")
    before = _ground(job)
    layers = ("conv", "act", "scores")
    after = rebuild_raised(job, before, dict.fromkeys(layers, "int16"), ("conv", "act"), data)
    tensors = _tensors(parse_graph(after.quantized))
    assert (tensors["conv"].dtype, tensors["act"].dtype) == ("int16", "int16")
    assert graph_facts(parse_graph(after.quantized)).float_ops == ()
    assert _sqnr_db(job, after) > _sqnr_db(job, before) - 1  # the end is int8 in both


@pytest.mark.parametrize("layers", [("conv",), ("conv", "act")])
def test_a_hard_swish_is_raised_in_parts(make_job: MakeJob, layers: tuple[str, ...]) -> None:
    """What `conv` writes has one channel that leaves the others no steps of 8 bits."""
    data = mixed_graphs.hard_swish()
    job = _job(make_job, data, raise_to="int16")
    before = _ground(job)
    graph = parse_graph(data)
    own = units(graph, dict.fromkeys(layers, 1.0), "int16", ())
    assert tuple(unit.layer for unit in own) == layers
    after = raise_units(job, before, graph, own)
    tensors = _tensors(parse_graph(after.quantized))
    assert tensors["conv"].dtype == "int16"
    assert {tensors[name].dtype for name in ("act/shifted", "act/gate")} == {"int16"}
    assert after.raised.keys() == {"conv", "act"} | ({"last"} if "act" in layers else set())
    facts = graph_facts(parse_graph(after.quantized))
    assert facts.float_ops == ()
    assert "HARD_SWISH" not in [op.name for op in parse_graph(after.quantized).ops]
    assert _sqnr_db(job, after) > _sqnr_db(job, before) + (20 if "act" in layers else -1)


def test_a_graph_that_torch_cannot_compute_is_refused_with_its_operator(make_job: MakeJob) -> None:
    job = _job(make_job, mixed_graphs.around("ROUND"), 90.0, raise_to="int16")
    with pytest.raises(ConversionError, match="ROUND"):
        _raised(job, _ground(job))
