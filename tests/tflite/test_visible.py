"""Edited graphs that show their inside give what the whole graph gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.visible import with_all_activations, with_loose_operators
from edgekit.types import Array
from tests import tflite_models as models
from tests.int8_models import quantized, random_samples
from tests.tflite import graphs

MODELS = {
    "chain": graphs.chain(),
    "varied": graphs.varied(),
    "free batch": graphs.activated("RELU", free_batch=True),
    "no signature": models.unsigned_model(),
    "int8": quantized(graphs.chain()),
    "constants behind": graphs.with_constants_behind(graphs.chain()),
}


def feeds(data: bytes) -> dict[str, Array]:
    (sample,) = random_samples(data, 1)
    graph = parse_graph(data)
    if graph.tensors[graph.inputs[0]].dtype == "int8":
        return {name: np.rint(50 * x).astype(np.int8) for name, x in sample.feeds.items()}
    return dict(sample.feeds)


@pytest.mark.parametrize("case", MODELS)
def test_every_activation_is_an_output_and_the_ends_are_as_before(case: str) -> None:
    data = MODELS[case]
    visible = with_all_activations(data)
    given = feeds(data)
    with LiteRTSession(data) as plain, LiteRTSession(visible.data) as open_:
        expected, found = plain.run(given), open_.run(given)
    graph = parse_graph(data)
    assert set(visible.outputs) == {i for op in graph.ops for i in op.outputs}
    assert visible.inputs == dict(zip(graph.inputs, graph.input_names, strict=True))
    for name, index in zip(graph.output_names, graph.outputs, strict=True):
        np.testing.assert_allclose(found[visible.outputs[index]], expected[name], rtol=1e-5)


@pytest.mark.parametrize("case", MODELS)
def test_each_operator_by_itself_gives_what_it_gives_in_the_graph(case: str) -> None:
    data = MODELS[case]
    visible, loose = with_all_activations(data), with_loose_operators(data)
    given = feeds(data)
    with LiteRTSession(visible.data) as session:
        outputs = session.run(given)
    inside = {index: outputs[name] for index, name in visible.outputs.items()}
    inside |= {index: given[name] for index, name in visible.inputs.items()}
    with LiteRTSession(loose.data) as session:
        alone = session.run({name: inside[index] for index, name in loose.inputs.items()})
    assert loose.outputs == visible.outputs
    for index, name in loose.outputs.items():
        np.testing.assert_allclose(alone[name], inside[index], rtol=1e-5, atol=1e-5)


def test_an_operator_by_itself_does_not_see_the_others() -> None:
    loose = with_loose_operators(graphs.chain())
    of = {loose.graph.tensors[index].name: index for index in loose.outputs}
    shapes = {index: loose.graph.tensors[index].shape for index in loose.inputs}
    values = {index: np.zeros(shape, np.float32) for index, shape in shapes.items()}
    values[of["third"]] += 2
    with LiteRTSession(loose.data) as session:
        alone = session.run({name: values[index] for index, name in loose.inputs.items()})
    assert (alone[loose.outputs[of["sum"]]] == 2).all()
    assert (alone[loose.outputs[of["flat"]]] == 0).all()
