"""The ladder: rungs in order, each measured on dev, none that makes the artefact worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.choose import Candidate, Choice
from edgekit.errors import ConversionError
from edgekit.methods import litert_ladder, load_method
from edgekit.methods.method import Goal, Quantized, QuantizeJob
from edgekit.numerics.fidelity import fidelity
from edgekit.optimize import solve
from edgekit.runtimes import open_session
from edgekit.runtimes.predict import predict
from edgekit.tflite.constants import with_constants
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from edgekit.types import Role
from tests import tflite_models as models
from tests.methods.conftest import MakeJob, samples
from tests.optimize.cases import depthwise, normal
from tests.tflite import graphs

Climb = Callable[..., tuple[Quantized, Choice, QuantizeJob]]
INPUT = (1, 6, 6, 4)
SCALES = np.geomspace(1, 0.03, 8).astype(np.float32)


def network(middle: str | None = None) -> bytes:
    """Convolution, depthwise one, fully connected: channels of very unequal width between them.
    ``middle`` is an operator before the last layer."""
    graph = models.Graph()
    x, a, b = (graph.tensor(n, (1, 6, 6, c)) for n, c in (("x", 4), ("a", 8), ("b", 8)))
    y = graph.tensor("y", (1, 5))

    def constant(name: str, values: Any) -> int:
        return graph.tensor(name, np.shape(values), data=values)

    first = constant("wa", normal(8, 3, 3, 4, seed=1) * SCALES[:, None, None, None])
    told = graphs.conv_options(fusedActivationFunction=1)
    graph.operator("CONV_2D", [x, first, constant("ba", normal(8, seed=2) * SCALES)], [a], **told)
    second = constant("wb", normal(1, 3, 3, 8, seed=3) / SCALES)
    told = depthwise(fusedActivationFunction=1)
    graph.operator("DEPTHWISE_CONV_2D", [a, second, constant("bb", normal(8, seed=4))], [b], **told)
    last = b
    if middle is not None:
        last = graph.tensor("m", (1, 6, 6, 8))
        graph.operator(middle, [b], [last])
    weights = constant("wy", normal(5, 288, seed=5) * 0.1)
    bias = constant("by", normal(5, seed=6))
    graph.operator("FULLY_CONNECTED", [last, weights, bias], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    return models.write([graph], {"serving_default": 0})


BEST = litert_ladder.EFFORTS["best"]


@pytest.fixture
def climb(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Climb:
    """Quantize with ``effort`` and look at what was chosen. Other estimators than the recipe's are
    rungs only where a test brings them back: each is another file to make and to run."""
    for name in ("best", "auto"):
        monkeypatch.setitem(litert_ladder.EFFORTS, name, replace(BEST, estimators=()))

    def run(
        data: bytes | None = None, *, goal: Goal | None = None, **options: Any
    ) -> tuple[Quantized, Choice, QuantizeJob]:
        parts = [tmp_path / name for name in ("calibration", "dev")]
        for part in parts:
            part.mkdir(exist_ok=True)
        job = make_job(
            network() if data is None else data,
            calibration=samples(parts[0], rows=400, shape=INPUT),
            open_dev=lambda: samples(parts[1], shape=INPUT, seed=9, role=Role.DEV),
            goal=goal or Goal("scores", classification=True),
            **options,
        )
        made = load_method("litert_static").quantize(job)
        (choice,) = made.choices
        return made, choice, job

    return run


def names(choice: Choice) -> list[str]:
    return [each.name for each in choice.candidates]


def decibels(choice: Choice) -> dict[str, float]:
    return {each.name: each.primary_db for each in choice.candidates if each.error is None}


def test_rungs_come_in_order_with_their_figures(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(litert_ladder.EFFORTS, "best", BEST)
    made, choice, job = climb(effort="best")
    assert choice.of == "rung"
    assert names(choice) == [
        "ranges",
        "ranges mean_minmax",
        "ranges percentile",
        "ranges mse",
        "equalized",
        "biases",
        "rounded",
    ]
    assert choice.on is not None
    assert (choice.on.role, choice.on.samples) == ("dev", len(job.open_dev()))
    for each in choice.candidates:
        assert each.seconds > 0
        assert each.size_bytes is not None
        assert each.agreement is not None
        assert list(each.sqnr_db) == ["scores"]
    assert decibels(choice)["equalized"] > decibels(choice)["ranges"] + 1
    assert decibels(choice)["rounded"] > decibels(choice)["ranges"] + 2
    assert not (job.folder / "rung.tflite").exists()
    sizes = {each.name: each.size_bytes for each in choice.candidates}
    assert made.artefact.path.stat().st_size == sizes[choice.chosen]


def test_balanced_does_not_round(climb: Climb) -> None:
    assert names(climb(effort="balanced")[1]) == ["ranges", "equalized", "biases"]


def test_fast_opens_no_dev_samples(make_job: MakeJob) -> None:
    made = load_method("litert_static").quantize(make_job(models.float_model(), effort="fast"))
    assert made.choices == ()


def test_a_graph_without_links_has_no_rung_of_them(climb: Climb) -> None:
    graph = models.Graph()
    x, y = graph.tensor("x", INPUT), graph.tensor("y", (1, 5))
    weights = graph.tensor("w", (5, 144), data=normal(5, 144))
    bias = graph.tensor("b", (5,), data=normal(5))
    graph.operator("FULLY_CONNECTED", [x, weights, bias], [y], table="FullyConnectedOptions")
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    _, choice, _ = climb(models.write([graph], {"serving_default": 0}), effort="best")
    assert names(choice) == ["ranges", "biases", "rounded"]


def test_auto_stops_at_the_first_rung_that_holds(climb: Climb) -> None:
    plain = Goal("scores", classification=False)
    _, choice, _ = climb(goal=plain, effort="balanced")
    found = decibels(choice)
    first, second = found["ranges"], found["equalized"]
    asked = replace(plain, sqnr_db_min=(first + second) / 2 - 1.0)  # 1 dB is the margin
    _, choice, _ = climb(goal=asked, effort="auto")
    assert names(choice) == ["ranges", "equalized"]
    _, choice, _ = climb(goal=replace(plain, sqnr_db_min=first - 1.1), effort="auto")
    assert names(choice) == ["ranges"]
    _, choice, _ = climb(goal=replace(plain, sqnr_db_min=first - 0.5), effort="auto")
    assert names(choice) == ["ranges", "equalized"]  # the first holds, but without the margin


def test_a_rung_that_keeps_the_limits_beats_a_better_one_that_does_not(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 dev samples the limit asks for 39 of the same class, margin included."""
    goal = Goal("scores", classification=True, agreement_min=0.96)
    rungs, agreeing = litert_ladder._rungs, iter((39, 38))
    monkeypatch.setattr(litert_ladder, "same_class", lambda *_: np.arange(40) < next(agreeing))
    monkeypatch.setattr(litert_ladder, "_rungs", lambda *given: islice(rungs(*given), 2))
    _, choice, _ = climb(goal=goal, effort="balanced")
    found = decibels(choice)
    assert found["equalized"] > found["ranges"]
    assert (choice.chosen, choice.by) == ("ranges", "promise")


@pytest.mark.parametrize(
    ("agreement", "drop", "held"),
    [
        (0.970, None, True),
        (0.960, None, False),  # without labels every changed answer may be one that was right
        (0.960, 0.015, True),
        (0.960, 0.016, False),
        (0.930, -0.010, False),
    ],
)
def test_limits_hold_with_a_quarter_to_spare(
    agreement: float, drop: float | None, held: bool
) -> None:
    goal = Goal("scores", classification=True, agreement_min=0.94, top1_drop_max=0.02 + 1e-9)
    agreeing = np.arange(1000) < round(1000 * agreement)
    if drop is None:
        goal = replace(goal, top1_drop_max=0.04 + 1e-9)
    figures = Candidate("raised", 0.0, agreeing=agreeing, top1_drop=drop, sqnr_db={"scores": 20.0})
    assert goal.holds(figures) is held
    assert not replace(goal, sqnr_db_min=19.5).holds(figures)
    assert not Goal("scores", classification=True).holds(figures)


def test_top1_is_measured_where_dev_has_labels(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer changes and is as right as before: what no limit on top-1 minds."""
    goal = Goal("scores", classification=True, top1_drop_max=0.01)
    monkeypatch.setattr(litert_ladder, "same_class", lambda before, _: np.zeros(len(before), bool))
    monkeypatch.setattr(litert_ladder, "top1_drop", lambda *_: 0.0)
    real = litert_ladder.predict

    def labelled(*given: Any, **told: Any) -> Any:
        found = real(*given, **told)
        return replace(found, labels=np.zeros(len(found), np.int64))

    assert names(climb(goal=goal, effort="auto")[1])[-1] == "rounded"
    monkeypatch.setattr(litert_ladder, "predict", labelled)
    assert names(climb(goal=goal, effort="auto")[1]) == ["ranges"]


def test_auto_without_a_goal_goes_all_the_way(climb: Climb) -> None:
    assert names(climb(effort="auto")[1])[-1] == "rounded"


def test_an_operator_without_a_torch_rule_leaves_the_rungs_without_torch(climb: Climb) -> None:
    made, choice, _ = climb(network("FLOOR"), effort="best")
    assert choice.chosen == "equalized"  # which needs no torch
    errors = {each.name: each.error for each in choice.candidates if each.error is not None}
    assert errors.keys() == {"biases", "rounded"}
    assert all("FLOOR" in str(error) for error in errors.values())
    assert made.artefact.path.exists()


def with_nan(data: bytes) -> bytes:
    weights = next(t for t in parse_graph(data).tensors if t.name == "wy")
    return with_constants(data, {weights.index: np.full(weights.shape, np.nan, np.float32)})


def test_a_rung_of_nan_weights_is_named_and_left_out(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = solve.solved

    def broken(*given: Any, feedback: bool, **told: Any) -> solve.Solved:
        found = real(*given, feedback=feedback, **told)
        return found if feedback else replace(found, data=with_nan(found.data))

    monkeypatch.setattr(solve, "solved", broken)
    made, choice, _ = climb(effort="best")
    errors = {each.name: each.error for each in choice.candidates if each.error is not None}
    assert errors == {"biases": "wy holds NaN or infinity"}
    assert names(choice)[-1] == "rounded"
    assert choice.chosen != "biases"
    assert made.artefact.path.exists()


def test_a_rung_that_crashes_its_runtime_is_left_out(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = litert_ladder.rebuild

    def crashing(job: QuantizeJob, before: Any, data: bytes) -> Any:
        return replace(real(job, before, data), quantized=models.crashing_model(INPUT))

    monkeypatch.setattr(litert_ladder, "rebuild", crashing)
    _, choice, job = climb(effort="balanced")
    errors = {each.name: each.error for each in choice.candidates if each.error is not None}
    assert list(errors) == ["biases"]
    assert choice.chosen == "equalized"
    assert not (job.folder / "rung.tflite").exists()


@pytest.mark.parametrize(("lost_db", "built_on"), [(0.2, "equalized"), (1.2, "ranges")])
def test_biases_are_built_on_equalized_channels_unless_those_are_clearly_worse(
    climb: Climb, monkeypatch: pytest.MonkeyPatch, lost_db: float, built_on: str
) -> None:
    measure, solve_it = litert_ladder._measured, litert_ladder._solved
    made: dict[bytes, str] = {}
    before: list[str] = []

    def measured(job: QuantizeJob, name: str, built: Any, *rest: Any) -> Candidate:
        """All three agree alike; the equalized one has so much less SQNR than the ranges'."""
        made[built.reference] = name
        found = measure(job, name, built, *rest)
        decibels = {"ranges": 20.0, "equalized": 20.0 - lost_db}.get(name, 22.0)
        return replace(found, sqnr_db={"scores": decibels}, agreeing=np.ones_like(found.agreeing))

    def solved(job: QuantizeJob, ground: Any, *rest: Any, **told: Any) -> Any:
        before.append(made[ground.reference])
        return solve_it(job, ground, *rest, **told)

    monkeypatch.setattr(litert_ladder, "_measured", measured)
    monkeypatch.setattr(litert_ladder, "_solved", solved)
    climb(effort="balanced")
    assert before == [built_on]


def test_where_no_rung_can_be_made_the_first_error_is_told(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> Any:
        raise ConversionError("out of luck")

    monkeypatch.setattr(litert_ladder, "_measured", failing)
    with pytest.raises(ConversionError, match=r"no rung of the ladder .*: out of luck") as caught:
        climb(effort="balanced")
    assert "quantize.effort: fast" in (caught.value.hint or "")


def test_never_worse_on_dev_than_without(climb: Climb) -> None:
    _, choice, _ = climb(network("LOGISTIC"), effort="best", seed=3)
    found = decibels(choice)
    assert found[choice.chosen] >= found["ranges"]


def test_one_scale_for_all_channels_has_one_rung(climb: Climb) -> None:
    _, choice, _ = climb(effort="best", per_channel=False)
    assert names(choice) == ["ranges"]


def test_the_same_bytes_twice(climb: Climb) -> None:
    first, second = (climb(effort="best")[0].artefact.path.read_bytes() for _ in range(2))
    assert first == second


def test_with_ends_of_any_type_as_much_is_gained(climb: Climb) -> None:
    _, plain, _ = climb(effort="best")
    for dtype in ("float32", "uint8"):
        made, choice, _ = climb(effort="best", input_dtype=dtype, output_dtype=dtype)
        assert choice.chosen == plain.chosen
        assert decibels(choice)["rounded"] == pytest.approx(decibels(plain)["rounded"], abs=0.5)
        with open_session(made.artefact.path) as session:
            ends = (*session.info.inputs, *session.info.outputs)
            assert [end.dtype for end in ends] == [dtype, dtype]


def test_the_file_is_the_rung_that_was_chosen(climb: Climb) -> None:
    made, choice, job = climb(effort="best", output_dtype="float32")
    dev = job.open_dev()
    with job.model.open_session(1) as before, open_session(made.artefact.path) as after:
        expected, found = (predict(session, dev) for session in (before, after))
    assert choice.on is not None
    assert choice.on.samples == len(dev)
    again = fidelity(expected, found, primary="scores", classification=False)
    assert again.sqnr_db == pytest.approx(decibels(choice)[choice.chosen], abs=1e-6)


def test_a_file_of_a_free_batch_is_climbed(climb: Climb) -> None:
    model = unpack(network())
    for tensor in model.subgraphs[0].tensors:
        if tensor.name in (b"x", b"a", b"b", b"y"):
            tensor.shapeSignature = [-1, *map(int, tensor.shape[1:])]
    _, choice, _ = climb(pack(model), effort="best")
    assert decibels(choice).keys() >= {"ranges", "equalized", "biases", "rounded"}
    assert not choice.chosen.startswith("ranges")
