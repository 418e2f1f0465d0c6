"""Readable names: of litert-torch's tensors, and of a model's ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite.flatbuffer import pack, unpack
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.names import (
    layer_path,
    readable_names,
    tensorflow_layer,
    tensorflow_names,
    unique_names,
)
from tests import tflite_models as models

ROOT = "pack.age.Wrapper"
NET = f"{ROOT}/zoo.Net_model"
SEQUENTIAL = "torch.nn.modules.container.Sequential"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (f"{NET}/{SEQUENTIAL}_features/torch.nn.modules.activation.ReLU6_2;", "features.2"),
        (f"{NET}/{SEQUENTIAL}_features/x.ReLU_1;1;;{NET}/x.Linear_fc;", "features.1"),
        (f"{NET}/torch.nn.modules.linear.Linear__fc;", "_fc"),
        (f"{NET}/net._DenseLayer_denselayer1", "denselayer1"),
        (f"{NET}/net.build.<locals>.Block_stem_block/net.Conv_conv_1", "stem_block.conv_1"),
        (f"{NET};3", "model"),
        (f"{ROOT};", "model"),
        ("arith.constant", "arith.constant"),
        ("serving_default_args_0", "serving_default_args_0"),
        ("MobilenetV2/Conv_1/Relu6", "MobilenetV2/Conv_1/Relu6"),
        ("", ""),
    ],
)
def test_the_path_of_a_layer(name: str, path: str) -> None:
    assert layer_path(name, ROOT) == path


def _renamed(data: bytes, names: list[str]) -> bytes:
    model = unpack(data)
    for tensor, name in zip(model.subgraphs[0].tensors, names, strict=True):
        tensor.name = name.encode()
    return pack(model)


def test_ends_get_the_given_names_and_layers_their_paths() -> None:
    fc = f"{NET}/torch.nn.modules.linear.Linear_fc;"
    conv = f"{NET}/{SEQUENTIAL}_body/torch.nn.modules.conv.Conv2d_0;"
    data = _renamed(models.float_model(), ["in", conv, conv, conv, fc, fc, "out"])
    graph = parse_graph(readable_names(data, ["image"], ["logits"], ROOT))
    # The layer's plain name is that of its output; its weights are numbered after it.
    assert [tensor.name for tensor in graph.tensors] == [
        "image",
        "body.0:2",
        "body.0:3",
        "body.0",
        "fc",
        "fc:2",
        "logits",
    ]
    assert (graph.input_names, graph.output_names) == (("image",), ("logits",))


def test_a_layer_called_like_an_end_gives_way() -> None:
    data = _renamed(models.float_model(), ["a", "image", "b", "logits", "image:2", "c", "d"])
    graph = parse_graph(readable_names(data, ["image"], ["logits"], ROOT))
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    assert (names[0], names[6]) == ("image", "logits")


@given(st.lists(st.sampled_from(["", "a", "a:2", "x", "y", f"{NET}/L_a;"]), min_size=7, max_size=7))
def test_names_end_up_unique_whatever_they_were(names: list[str]) -> None:
    data = _renamed(models.float_model(), names)
    for renamed in (readable_names(data, ["x"], ["y"], ROOT), unique_names(data)):
        found = [tensor.name for tensor in parse_graph(renamed).tensors]
        assert len(set(found)) == 7
        assert all(found)


def test_unique_names_leaves_good_names_and_the_signature_alone() -> None:
    data = models.float_model()
    assert unique_names(data) is data
    twice = _renamed(data, ["n", "kernel", "b", "n", "m", "o", "n"])
    graph = parse_graph(unique_names(twice))
    assert [t.name for t in graph.tensors] == ["n", "kernel", "b", "n:2", "m", "o", "n:3"]
    assert (graph.input_names, graph.output_names) == (("x",), ("scores",))


def test_the_same_number_of_names_as_ends() -> None:
    with pytest.raises(ValueError, match=r"2 names \(a, b\) for 1 tensors"):
        readable_names(models.float_model(), ["x"], ["a", "b"], ROOT)


def _twice_and_through() -> bytes:
    """Returns ``x`` doubled, the same tensor again, and ``x`` itself."""
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 3)), graph.tensor("y", (1, 3))
    graph.operator("ADD", [x, x], [y], table="AddOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    model = unpack(models.write([graph], {"s": 0}))
    from ai_edge_litert import schema_py_generated as schema

    model.subgraphs[0].outputs = [y, y, x]
    model.signatureDefs[0].outputs = []
    for number, index in enumerate((y, y, x)):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = f"output_{number}".encode(), index
        model.signatureDefs[0].outputs.append(entry)
    return pack(model)


def test_an_output_returned_twice_and_an_input_handed_through_keep_their_own_names() -> None:
    named = readable_names(_twice_and_through(), ["image"], ["a", "b", "c"], ROOT)
    with LiteRTSession(named) as session:
        assert [info.name for info in session.info.inputs] == ["image"]
        answer = session.run({"image": np.array([[1, 2, 3]], np.float32)})
    assert {name: array.tolist() for name, array in answer.items()} == {
        "a": [[2, 4, 6]],
        "b": [[2, 4, 6]],
        "c": [[1, 2, 3]],
    }


def test_other_subgraphs_keep_their_names() -> None:
    data = models.two_signature_model()
    model = unpack(readable_names(data, ["image"], ["logits"], ROOT))
    assert [t.name for t in model.subgraphs[1].tensors] == [
        t.name for t in unpack(data).subgraphs[1].tensors
    ]
    assert model.signatureDefs[0].inputs[0].name == b"image"
    assert model.signatureDefs[1].inputs[0].name == b"x"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("StatefulPartitionedCall/PartitionedCall_2/net_1/conv_1/Relu;net_1/x", "net_1/conv_1"),
        ("net_1/head/MatMul", "net_1/head"),
        ("MatMul;Relu", "MatMul"),
        ("PartitionedCall", "PartitionedCall"),
        ("tfl.dequantize", "tfl.dequantize"),
        ("", ""),
    ],
)
def test_the_layer_of_a_tensorflow_name(name: str, layer: str) -> None:
    assert tensorflow_layer(name) == layer


def test_a_file_without_signature_gets_one_with_the_given_names() -> None:
    graph = parse_graph(
        tensorflow_names(models.unsigned_model(), ["image"], ["logits"], signature="classify")
    )
    assert graph.signature == "classify"
    assert (graph.input_names, graph.output_names) == (("image",), ("logits",))
    assert graph.tensors[graph.outputs[0]].name == "logits"


def test_a_signature_that_is_there_is_replaced() -> None:
    data = tensorflow_names(models.two_signature_model(), ["a"], ["b"], signature="only")
    model = unpack(data)
    assert [signature.signatureKey for signature in model.signatureDefs] == [b"only"]
    names = [tensor.name for graph in model.subgraphs for tensor in graph.tensors]
    assert len(set(names)) == len(names)


def test_another_number_of_ends_than_the_graph_has() -> None:
    with pytest.raises(ValueError, match="2 names"):
        tensorflow_names(models.float_model(), ["a", "b"], ["c"], signature="s")
