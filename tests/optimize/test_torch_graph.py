"""A file as a graph in torch: what reaches the hook, what is kept, what is refused at loading."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.errors import ConversionError
from edgekit.optimize.torch_graph import load_torch_graph
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.links import is_layer, own_bias
from tests import tflite_models as models
from tests.tflite import graphs


def feeds(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(
        (count, *models.INPUT_SHAPE[1:]), generator=torch.Generator().manual_seed(seed)
    )


def test_the_whole_network_of_several_samples() -> None:
    graph = load_torch_graph(models.float_model())
    x = feeds()
    (found,) = graph.run({0: x}).values()
    wanted = models.reference(x.numpy(), models.weights())
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_file_of_any_batch_takes_any_number_of_samples(batch: int) -> None:
    data = models.write([models.float_graph(models.weights(), batch=batch)])
    graph = load_torch_graph(data)
    (found,) = graph.run({0: feeds(7)}).values()
    np.testing.assert_allclose(
        found.numpy(), models.reference(feeds(7).numpy(), models.weights()), rtol=1e-5, atol=1e-5
    )


def test_an_output_that_is_read_on_is_given_too() -> None:
    graph = load_torch_graph(models.two_output_model())
    found = graph.run({0: feeds()})
    assert list(found) == list(graph.graph.outputs)
    np.testing.assert_allclose(
        found[3].numpy(), models.hidden(feeds().numpy(), models.weights()), rtol=1e-5, atol=1e-5
    )


def test_an_input_that_is_an_output_and_one_that_nothing_reads() -> None:
    made = models.float_graph(models.weights())
    made.inputs["unread"] = made.tensor("unread", (1, 2))
    made.outputs["same"] = made.inputs["x"]
    graph = load_torch_graph(models.write([made]))
    found = graph.run({0: feeds(), made.inputs["unread"]: torch.zeros(3, 2)})
    assert torch.equal(found[0], feeds())


def test_the_hook_sees_each_activation_once_and_its_value_is_read_on() -> None:
    graph = load_torch_graph(models.two_output_model())
    seen: list[int] = []

    def hook(index: int, x: torch.Tensor) -> torch.Tensor:
        seen.append(index)
        return torch.zeros_like(x) if index == 3 else x

    found = graph.run({0: feeds()}, hook)
    assert seen == [0, 3, 6]
    assert not found[3].any()
    np.testing.assert_allclose(found[6].numpy(), np.tile(models.weights().matrix_bias, (3, 1)))


def test_constants_can_be_replaced() -> None:
    graph = load_torch_graph(models.float_model())
    other = load_torch_graph(models.float_model(seed=1))
    found, wanted = graph.run({0: feeds()}, constants=other.constants), other.run({0: feeds()})
    assert torch.equal(found[6], wanted[6])


def test_a_tensor_read_twice_by_one_operator() -> None:
    made = models.Graph()
    x, y, z = (made.tensor(name, (1, 4)) for name in "xyz")
    made.operator("MUL", [x, x], [y], table="MulOptions")
    made.operator("ADD", [y, x], [z], table="AddOptions")
    made.inputs, made.outputs = {"x": x}, {"z": z}
    graph = load_torch_graph(models.write([made]))
    (found,) = graph.run({x: torch.full((2, 4), 3.0)}).values()
    assert torch.equal(found, torch.full((2, 4), 12.0))


def test_weights_that_two_operators_read_are_nobodys() -> None:
    graph = load_torch_graph(graphs.shared())
    assert [is_layer(graph.graph, op) for op in graph.graph.ops] == [False, False, True]
    assert [own_bias(graph.graph, op) for op in graph.graph.ops] == [None, None, None]


def test_a_weight_that_is_an_output_too_is_nobodys() -> None:
    made = models.float_graph(models.weights())
    made.outputs["kernel"] = 1
    with pytest.raises(ConversionError, match="the output kernel cannot be computed in torch"):
        load_torch_graph(models.write([made]))


def test_a_bias_that_is_absent_is_none() -> None:
    data = graphs.single(
        "FULLY_CONNECTED", [(1, 4), np.eye(4), None], table="FullyConnectedOptions"
    )
    graph = load_torch_graph(data)
    assert own_bias(graph.graph, graph.graph.ops[0]) is None


def test_constants_behind_the_flatbuffer_are_read() -> None:
    graph = load_torch_graph(graphs.with_constants_behind(models.float_model()))
    np.testing.assert_array_equal(graph.constants[1].numpy(), models.weights().filter)


def test_operators_without_a_rule_are_named() -> None:
    with pytest.raises(ConversionError, match=r"cannot be computed in torch: ARG_MAX$"):
        load_torch_graph(graphs.varied())


def test_a_constant_torch_cannot_hold_is_named() -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(graphs.single("ADD", [(1, 4), np.zeros(4, np.float32)], table="AddOptions"))
    model.subgraphs[0].tensors[1].type = schema.TensorType.STRING
    with pytest.raises(ConversionError, match="the constant c0 cannot be read in torch"):
        load_torch_graph(pack(model))


def test_a_tensor_that_nothing_writes_is_named() -> None:
    model = unpack(models.float_model())
    model.subgraphs[0].operators = model.subgraphs[0].operators[1:]
    with pytest.raises(ConversionError, match=r"FULLY_CONNECTED at .*: nothing writes hidden"):
        load_torch_graph(pack(model))


def test_integer_inputs_are_computed_with() -> None:
    made = models.Graph()
    x, y, z = made.tensor("x", (1, 4), "int32"), made.tensor("y", (1, 4)), made.tensor("z", (1, 2))
    order = made.tensor("shape", (2,), "int32", np.array([1, 4]))
    again = made.tensor("again", (1, 4), "int32")
    weights = made.tensor("weights", (2, 4), data=np.ones((2, 4)))
    made.operator("RESHAPE", [x, order], [again], table="ReshapeOptions", newShape=[1, 4])
    made.operator("FULLY_CONNECTED", [y, weights, -1], [z], table="FullyConnectedOptions")
    made.inputs, made.outputs = {"x": x, "y": y}, {"z": z, "again": again}
    data = models.write([made], {"serving_default": 0})
    graph = load_torch_graph(data)
    numbers, reals = np.arange(4, dtype=np.int32)[None], np.ones((1, 4), np.float32)
    found = graph.run({x: torch.from_numpy(numbers), y: torch.from_numpy(reals)})
    with LiteRTSession(data) as session:
        wanted = session.run({"x": numbers, "y": reals})
    np.testing.assert_array_equal(found[again].numpy(), wanted["again"])
    np.testing.assert_array_equal(found[z].numpy(), wanted["z"])
