"""Constants are read as they are, and replaced without touching anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.tflite.constants import constant_array, with_constants
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from tests import tflite_models as models
from tests.tflite import graphs


def read(data: bytes, index: int) -> Any:
    model = unpack(data)
    return constant_array(model, model.subgraphs[0].tensors[index])


@pytest.mark.parametrize("behind", [False, True])
def test_a_constant_is_read_with_its_shape_and_type(behind: bool) -> None:
    data = models.float_model()
    found = read(graphs.with_constants_behind(data) if behind else data, 1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, models.weights().filter)


def test_a_constant_of_rank_0_is_read() -> None:
    data = graphs.single("ADD", [(1, 4), np.array(2.5)], table="AddOptions")
    assert read(data, 1).shape == ()
    assert float(read(data, 1)) == 2.5


def test_a_constant_is_replaced_and_the_others_stay() -> None:
    data = models.float_model()
    other = np.zeros_like(models.weights().matrix)
    for source in (data, graphs.with_constants_behind(data)):
        changed = with_constants(source, {4: other})
        np.testing.assert_array_equal(read(changed, 4), other)
        np.testing.assert_array_equal(read(changed, 1), models.weights().filter)
        assert parse_graph(changed).ops == parse_graph(data).ops


def test_what_is_replaced_does_not_stay_in_the_file() -> None:
    data = pack(unpack(models.float_model()))
    for index in (1, 4):
        values = read(data, index) + 1
        assert len(with_constants(data, {index: values})) == len(data)


def test_nothing_to_replace_gives_the_same_bytes() -> None:
    data = models.float_model()
    assert with_constants(data, {}) is data


def test_the_same_values_give_the_same_bytes() -> None:
    data = models.float_model()
    once = with_constants(data, {1: models.weights(1).filter})
    assert with_constants(data, {1: models.weights(1).filter}) == once


def sharing(count: int) -> bytes:
    """So many additions of constants of their own, all in one buffer."""
    graph = models.Graph()
    last = graph.tensor("x", (1, 4))
    graph.inputs = {"x": last}
    for number in range(count):
        constant = graph.tensor(f"c{number}", (4,), data=np.arange(4))
        y = graph.tensor(f"y{number}", (1, 4))
        graph.operator("ADD", [last, constant], [y], table="AddOptions")
        last = y
    graph.outputs = {"y": last}
    model = unpack(models.write([graph], {"serving_default": 0}))
    tensors = model.subgraphs[0].tensors
    for number in range(count):
        tensors[1 + 2 * number].buffer = tensors[1].buffer
    return pack(model)


@pytest.mark.parametrize("replaced", [(1,), (5,), (1, 3), (1, 3, 5)])
def test_a_shared_buffer_stays_as_it_is_for_the_others(replaced: tuple[int, ...]) -> None:
    values = {index: np.full(4, index, np.float32) for index in replaced}
    changed = with_constants(sharing(3), values)
    for index in (1, 3, 5):
        wanted = values.get(index, np.arange(4, dtype=np.float32))
        np.testing.assert_array_equal(read(changed, index), wanted)


def test_a_buffer_shared_with_another_subgraph_stays_for_it() -> None:
    model = unpack(models.two_signature_model())
    first, second = model.subgraphs
    second.tensors[1].buffer = first.tensors[1].buffer
    changed = unpack(with_constants(pack(model), {1: models.weights(5).filter}))
    kept = constant_array(changed, changed.subgraphs[1].tensors[1])
    np.testing.assert_array_equal(kept, models.weights(0).filter)


@pytest.mark.parametrize(
    "value", [np.zeros((2, 3, 3, 3), np.float64), np.zeros((3, 3, 3, 2), np.float32)]
)
def test_another_shape_or_type_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"kernel: float\d\d\(.* in place of float32\(2, 3, 3, 3"):
        with_constants(models.float_model(), {1: value})


def test_values_laid_out_otherwise_in_memory_are_written_in_order() -> None:
    value = np.asfortranarray(models.weights(1).filter)
    changed = with_constants(models.float_model(), {1: value})
    np.testing.assert_array_equal(read(changed, 1), value)
