"""Scales that keep pairs of products within 16 bits, and no coarser than that asks for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as drawn
from onnx import helper, numpy_helper

from edgekit.onnx.weight_scales import pair_safe_scales, weight_overrides
from edgekit.types import Array
from tests import onnx_models
from tests.methods.onnx_jobs import blocks

ROWS = drawn(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e4, 1e4, width=32),
)


def _stored(rows: Array, scales: Array) -> Array:
    return np.round(rows / scales[:, None].astype(np.float64)).astype(np.int64)


@given(ROWS)
def test_no_pair_of_neighbours_leaves_16_bits(rows: Array) -> None:
    stored = _stored(rows, pair_safe_scales(rows))
    assert np.abs(stored).max() <= 127
    sums = 255 * np.maximum(stored, 0)[:, 1:] + 255 * np.maximum(stored, 0)[:, :-1]
    below = 255 * np.minimum(stored, 0)[:, 1:] + 255 * np.minimum(stored, 0)[:, :-1]
    assert sums.max(initial=0) <= np.iinfo(np.int16).max
    assert below.min(initial=0) >= np.iinfo(np.int16).min


@given(ROWS)
def test_never_coarser_than_seven_bits(rows: Array) -> None:
    largest = np.abs(rows).max(axis=1)
    scales = pair_safe_scales(rows)
    assert (scales[largest > 1e-30] <= 2.001 * largest[largest > 1e-30] / 127).all()


def test_a_row_whose_neighbours_are_small_keeps_all_eight_bits() -> None:
    rows = np.float32([[127, 0, 64, 63], [127, -127, 0, 0], [100, 100, 0, 0], [0, 0, 0, 0]])
    expected = np.float32([1, 1, 200 / 127, 200 / 127])
    np.testing.assert_allclose(pair_safe_scales(rows), expected, rtol=1e-6)
    np.testing.assert_allclose(pair_safe_scales(rows, adjacent=False)[2], 100 / 127, rtol=1e-6)


def test_a_row_of_zeros_costs_the_others_nothing() -> None:
    rows = np.float32([[0.01, 0.02], [0, 0], [0.05, 0.0]])
    scales = pair_safe_scales(rows)
    np.testing.assert_allclose(scales, np.float32([0.03, 0.05, 0.05]) / 127, rtol=1e-6)
    assert pair_safe_scales(np.zeros((3, 2), np.float32)).tolist() == [1, 1, 1]


def test_each_operator_by_its_own_axis_and_depthwise_at_full_range() -> None:
    model = blocks()
    names = [node.name for node in model.graph.node]
    found = weight_overrides(model, nodes=names, per_channel=True)
    assert {name: (len(entries), entries[0]["axis"]) for name, entries in found.items()} == {
        "w1": (8, 0),
        "w2": (8, 0),
        "w3": (8, 0),
        "w4": (5, 0),
    }
    deep = next(t for t in model.graph.initializer if t.name == "w2")
    largest = np.abs(np.frombuffer(deep.raw_data, np.float32).reshape(8, 9)).max(axis=1)
    np.testing.assert_allclose([e["scale"] for e in found["w2"]], largest / 127, rtol=1e-6)


def test_one_scale_for_all_channels_is_the_coarsest_of_them() -> None:
    model = blocks()
    names = [node.name for node in model.graph.node]
    channels = weight_overrides(model, nodes=names, per_channel=True)
    tensors = weight_overrides(model, nodes=names, per_channel=False)
    for name, entries in tensors.items():
        (entry,) = entries
        assert "axis" not in entry
        assert entry["scale"] == max(each["scale"] for each in channels[name])


def test_nodes_that_stay_float_get_no_scale() -> None:
    assert weight_overrides(blocks(), nodes=["head"], per_channel=True).keys() == {"w4"}


def test_a_stack_of_matrices_has_one_scale_and_what_stands_left_is_unsigned() -> None:
    random = np.random.default_rng(0)
    arrays = {"stack": random.normal(size=(2, 8, 4)), "left": random.normal(size=(5, 4))}
    made = onnx_models.model(
        [
            helper.make_node("MatMul", ["x", "stack"], ["a"], "one"),
            helper.make_node("Transpose", ["a"], ["t"], "turn", perm=[0, 2, 1]),
            helper.make_node("MatMul", ["left", "t"], ["y"], "two"),
        ],
        [onnx_models.info("x", (2, 3, 8))],
        [onnx_models.info("y", (2, 5, 3))],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()],
    )
    found = weight_overrides(made, nodes=["one", "two"], per_channel=True)
    columns = np.swapaxes(arrays["stack"], 1, 2).reshape(-1, 8).astype(np.float32)
    assert [e["scale"] for e in found["stack"]] == [pair_safe_scales(columns).max()]
    assert "axis" not in found["stack"][0]
    assert [str(e["quant_type"]) for e in found["left"]] == ["QUInt8"]
