"""Equalized graphs compute what they computed, and only where that is free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.optimize.equalize import FACTOR_MAX, equalize, factors, find_links
from edgekit.optimize.torch_graph import TorchGraph, load_torch_graph
from tests import tflite_models as models
from tests.optimize.cases import depthwise, pool
from tests.optimize.engine import loaded
from tests.tflite.graphs import conv_options

SPREAD = (1.0, 0.01, 20.0, 0.3)
"""How wide the four channels in the middle are, before an activation."""


def linked(
    *,
    activation: int = 1,
    between: str | None = None,
    multiplier: int = 1,
    writer: str = "CONV_2D",
    spread: tuple[float, ...] = SPREAD,
    also: str | None = None,
) -> bytes:
    """Layer, perhaps PAD or a pool, depthwise convolution. ``also`` is who else has the channels
    between: an ``output``, an ``add``, a dense ``conv``, a second ``depthwise`` one."""
    random = np.random.default_rng(0)
    graph = models.Graph()
    x = graph.tensor("x", (1, 6, 6, 4))

    def constant(name: str, values: Any) -> int:
        return graph.tensor(name, np.shape(values), data=np.asarray(values, np.float32))

    h = graph.tensor("h", (1, 6, 6, 4))
    bias = constant("bias", random.normal(size=4) * spread)
    if writer == "CONV_2D":
        values = random.normal(size=(4, 1, 1, 4)) * np.reshape(spread, (4, 1, 1, 1)) * 0.5
        kernel = constant("kernel", values)
        told = conv_options(fusedActivationFunction=activation)
    else:
        kernel = constant("kernel", random.normal(size=(1, 3, 3, 4)) * spread)
        told = depthwise(fusedActivationFunction=activation)
    graph.operator(writer, [x, kernel, bias], [h], **told)
    last = h
    if between == "PAD":
        widths = graph.tensor("w", (4, 2), "int32", np.array([[0, 0], [0, 1], [1, 0], [0, 0]]))
        last = graph.tensor("between", (1, 7, 7, 4))
        graph.operator("PAD", [h, widths], [last], table="PadOptions")
    elif between == "PAD channels":
        widths = graph.tensor("w", (4, 2), "int32", np.array([[0, 0], [0, 0], [0, 0], [1, 3]]))
        last = graph.tensor("between", (1, 6, 6, 8))
        graph.operator("PAD", [h, widths], [last], table="PadOptions")
    elif between is not None:
        last = graph.tensor("between", (1, 3, 3, 4))
        graph.operator(between, [h], [last], **pool(strideH=2, strideW=2))
    shape = tuple(graph.tensors[last].shape)
    channels = shape[3] * multiplier
    y = graph.tensor("y", (*shape[:3], channels))
    weights = constant("weights", random.normal(size=(1, 3, 3, channels)))
    offset = constant("offset", random.normal(size=channels))
    graph.operator("DEPTHWISE_CONV_2D", [last, weights, offset], [y], **depthwise(multiplier))
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    if also == "output":
        graph.outputs["h"] = h
    elif also is not None:
        more = graph.tensor("more", (1, 6, 6, 4))
        graph.outputs["more"] = more
        if also == "add":
            graph.operator("ADD", [h, x], [more], table="AddOptions")
        elif also == "conv":
            other = constant("other", random.normal(size=(4, 1, 1, 4)))
            graph.operator("CONV_2D", [h, other, constant("o", np.zeros(4))], [more], **told)
        elif also == "depthwise":
            other = constant("other", random.normal(size=(1, 3, 3, 4)))
            operands = [h, other, constant("o", np.zeros(4))]
            graph.operator("DEPTHWISE_CONV_2D", operands, [more], **depthwise())
    return models.write([graph], {"serving_default": 0})


def widths(graph: TorchGraph, feeds: dict[int, Any], constants: Any, index: int) -> Any:
    """The largest magnitude of each channel of a tensor."""
    found: dict[int, torch.Tensor] = {}

    def keep(i: int, x: torch.Tensor) -> torch.Tensor:
        found[i] = x
        return x

    graph.run(feeds, keep, constants)
    return found[index].abs().reshape(-1, found[index].shape[-1]).amax(0)


def check_free(data: bytes) -> None:
    """Alike in float, and more alike in range."""
    graph, feeds = loaded(data, 20)
    found = equalize(graph, [feeds])
    constants = {**graph.constants, **found}
    for before, after in zip(
        graph.run(feeds).values(), graph.run(feeds, constants=constants).values(), strict=True
    ):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * float(before.abs().max()))
    (link,) = find_links(graph)
    first = link.tensors[0]
    before, after = (widths(graph, feeds, c, first) for c in (graph.constants, constants))
    torch.testing.assert_close(after.max(), before.max())  # the range itself stays
    alive = before > 0
    assert (after[alive] >= before[alive] * (1 - 1e-5)).all()
    ratio = [float(x[alive].max() / x[alive].min()) for x in (before, after)]
    assert ratio[1] < ratio[0] ** 0.6


@pytest.mark.parametrize("between", [None, "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("activation", [0, 1, 3])
def test_the_float_function_is_unchanged(activation: int, between: str | None) -> None:
    check_free(linked(activation=activation, between=between))


@pytest.mark.parametrize("writer", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_with_any_writer_and_depth_multiplier(writer: str, multiplier: int) -> None:
    check_free(linked(writer=writer, multiplier=multiplier))


def test_two_depthwise_readers_are_both_divided() -> None:
    check_free(linked(also="depthwise"))


def test_a_dead_channel_stays_as_it_is() -> None:
    data = linked(spread=(1.0, 0.0, 20.0, 0.3))
    check_free(data)
    graph, feeds = loaded(data, 20)
    (link,) = find_links(graph)
    index = link.writer.inputs[1]
    assert not equalize(graph, [feeds])[index][1].any()


def test_relu6_is_reached_by_no_channel_that_did_not_reach_it() -> None:
    data = linked(activation=3, spread=(1.0, 0.2, 20.0, 0.3))
    graph, feeds = loaded(data, 20)
    (link,) = find_links(graph)
    constants = {**graph.constants, **equalize(graph, [feeds])}
    before, after = (widths(graph, feeds, c, link.tensors[0]) for c in (graph.constants, constants))
    assert before.max() == 6.0
    assert torch.equal(after >= 6.0, before >= 6.0)


@pytest.mark.parametrize(
    "told",
    [
        {"also": "output"},
        {"also": "add"},
        {"also": "conv"},
        {"activation": 2},
        {"between": "PAD channels"},
    ],
)
def test_channels_that_others_have_too_are_left_alone(told: dict[str, Any]) -> None:
    graph, feeds = loaded(linked(**told), 4)
    assert find_links(graph) == []
    assert equalize(graph, [feeds]) == {}


def test_a_bias_that_another_layer_reads_is_left_alone() -> None:
    from edgekit.tflite.flatbuffer import pack, unpack

    model = unpack(linked())
    first, second = model.subgraphs[0].operators
    second.inputs = [second.inputs[0], second.inputs[1], first.inputs[2]]
    assert find_links(load_torch_graph(pack(model))) == []


def test_batches_are_looked_at_together() -> None:
    graph, feeds = loaded(linked(), 20)
    whole = equalize(graph, [feeds])
    parts = [{i: x[start : start + 7] for i, x in feeds.items()} for start in (0, 7, 14)]
    for index, found in equalize(graph, parts).items():
        torch.testing.assert_close(found, whole[index])


@given(st.lists(st.floats(0, 2.0**60, width=32), min_size=1, max_size=9))
def test_factors_enlarge_to_no_more_than_the_widest(drawn: list[float]) -> None:
    widest = torch.tensor(drawn, dtype=torch.float32)
    found = factors(widest)
    assert found.isfinite().all()
    assert (found >= 1).all()
    assert (found <= FACTOR_MAX).all()
    assert (widest * found <= widest.max() * (1 + 1e-6)).all()


def test_extremes_that_are_no_numbers_change_nothing() -> None:
    for bad in (torch.nan, torch.inf):
        assert factors(torch.tensor([1.0, bad, 2.0])).tolist() == [1.0, 1.0, 1.0]
