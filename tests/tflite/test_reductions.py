"""The instrumented graph: its extremes are those of the activations, and nothing else changes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from edgekit.calibrate import subset
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import builtin_of, unpack
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.reductions import ROWS_FROM, with_extremes
from tests import tflite_models as models
from tests.tflite import graphs

Extremes = dict[str, tuple[float, float]]


def _extremes(data: bytes, x: models.Array) -> Extremes:
    graph = with_extremes(data)
    with LiteRTSession(graph.data) as session:
        (end,) = session.info.inputs
        answer = session.run({end.name: x})
    return {
        name: (answer[graph.min_output(i)].min().item(), answer[graph.max_output(i)].max().item())
        for i, name in enumerate(graph.tensors)
    }


def _all_activations(data: bytes, x: models.Array) -> Extremes:
    """NumPy's extremes of every float activation, all of them kept by the plain interpreter."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping all of them is what this is for
        interpreter = Interpreter(
            model_content=data,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    kept = {}
    for tensor in parse_graph(data).tensors:
        if tensor.dtype == "float32" and not tensor.constant:
            values = interpreter.get_tensor(tensor.index)
            kept[tensor.name] = (values.min().item(), values.max().item())
    return kept


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (graphs.varied(), graphs.SHAPE),
        (models.two_output_model(), models.INPUT_SHAPE),
        (models.unsigned_model(), models.INPUT_SHAPE),
        (graphs.activated("HARD_SWISH"), models.INPUT_SHAPE),
    ],
    ids=["ranks 0 to 4, pad, reshape, integers", "two outputs", "no signature", "hard swish"],
)
def test_extremes_are_those_of_every_float_activation(
    data: bytes, shape: tuple[int, ...], seed: int
) -> None:
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    found, expected = _extremes(data, x), _all_activations(data, x)
    assert found.keys() == expected.keys()
    for name, pair in expected.items():
        # The two may sum in another order; nothing more.
        np.testing.assert_allclose(found[name], pair, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_large_activation_is_reduced_by_rows() -> None:
    graph = models.Graph()
    shape = (1, 64, 64, ROWS_FROM // 64**2)
    x, y = graph.tensor("x", shape), graph.tensor("y", shape)
    graph.operator("NEG", [x], [y], table="NegOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    data = models.write([graph], {"s": 0})
    instrumented = parse_graph(with_extremes(data).data)
    assert {instrumented.tensors[i].shape for i in instrumented.outputs} == {(1, 64, 1, 1)}
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    low, high = values.min().item(), values.max().item()
    assert _extremes(data, values) == {"x": (low, high), "y": (-high, -low)}


def test_integers_and_constants_have_none() -> None:
    names = with_extremes(graphs.varied()).tensors
    assert set(names) == {"x", "padded", "conv", "flat", "scores", "total", "maxima", "shifted"}
    assert with_extremes(models.int8_model()).tensors == ()


def test_a_free_batch_stays_free() -> None:
    graph = with_extremes(models.free_batch_model())
    x = np.random.default_rng(0).normal(size=(3, *models.INPUT_SHAPE[1:])).astype(np.float32)
    with LiteRTSession(graph.data) as session:
        answer = session.run({"x": x})
    position = graph.tensors.index("serving_x")
    assert answer[graph.max_output(position)].item() == x.max()
    hidden = models.hidden(x, models.weights())
    found = answer[graph.max_output(graph.tensors.index("hidden"))].item()
    assert found == pytest.approx(hidden.max(), rel=1e-5)


def test_infinity_is_seen_and_so_is_a_tensor_of_nan_alone() -> None:
    x = np.ones(models.INPUT_SHAPE, np.float32)
    x[0, 1, 1, 1] = np.inf
    assert _extremes(models.two_output_model(), x)["serving_x"] == (1.0, np.inf)
    nan = np.full(models.INPUT_SHAPE, np.nan, np.float32)
    assert np.isnan(_extremes(models.two_output_model(), nan)["serving_x"]).all()


def test_the_graph_itself_is_left_as_it_was() -> None:
    data = models.two_signature_model()
    before, after = unpack(data), unpack(with_extremes(data).data)
    assert len(after.subgraphs) == 2
    assert [s.signatureKey for s in after.signatureDefs] == [b"first"]
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        count = len(old.tensors)
        assert [t.name for t in new.tensors[:count]] == [t.name for t in old.tensors]
        kept = [op for op in new.operators if op.outputs[0] < count]
        assert [_described(after, op) for op in kept] == [
            _described(before, op) for op in old.operators
        ]
    assert len(after.subgraphs[1].operators) == 2  # the second has no reductions


def _described(model: Any, operator: Any) -> tuple[object, ...]:
    code = model.operatorCodes[operator.opcodeIndex]
    ends = (operator.inputs, operator.outputs)
    return builtin_of(code), *(tuple(map(int, end)) for end in ends)


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (graphs.varied(), graphs.SHAPE),
        (models.unsigned_model(), models.INPUT_SHAPE),
    ],
    ids=["ranks 0 to 4, pad, reshape, integers", "no signature"],
)
def test_values_are_every_so_many_of_the_activation_and_change_no_extremes(
    data: bytes, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subset, "VALUES_MAX", 10)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    graph = with_extremes(data, values=True)
    with LiteRTSession(graph.data) as session:
        (end,) = session.info.inputs
        answer = session.run({end.name: x})
    extremes = _extremes(data, x)
    for position, (name, (low, high)) in enumerate(extremes.items()):
        assert answer[graph.min_output(position)].min() == low
        assert answer[graph.max_output(position)].max() == high
        values = answer[graph.values_output(position)]
        assert 0 < values.size <= 10, name
        assert low <= values.min()
        assert values.max() <= high
    np.testing.assert_array_equal(
        answer[graph.values_output(0)], x.reshape(-1)[:: subset.stride(x.size)]
    )


def test_values_of_a_free_batch_are_those_of_all_its_samples() -> None:
    graph = with_extremes(models.free_batch_model(), values=True)
    x = np.random.default_rng(0).normal(size=(3, *models.INPUT_SHAPE[1:])).astype(np.float32)
    with LiteRTSession(graph.data) as session:
        answer = session.run({"x": x})
    position = graph.tensors.index("serving_x")
    np.testing.assert_array_equal(answer[graph.values_output(position)], x.reshape(-1))
