"""A model lowered to an older operator set, and what is said where that cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from onnx import TensorProto, helper

from edgekit.bridges.opsets import lowered
from edgekit.errors import ConversionError


def model(nodes: Sequence[Any], opset: int, constants: Sequence[Any] = ()) -> Any:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def gelu() -> Any:
    """No earlier form: it came with 20."""
    return model([helper.make_node("Gelu", ["x"], ["y"])], 20)


def test_the_hint_offers_what_a_recipe_takes() -> None:
    with pytest.raises(ConversionError) as caught:
        lowered(gelu(), (15,), "tool")
    assert caught.value.message.startswith(
        "tool takes all of the model's operators up to operator set 15 only, the model is in 20"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("by onnx.opset: 15 in the recipe.")
    with pytest.raises(ConversionError) as caught:
        lowered(gelu(), (12,), "tool")
    assert caught.value.hint == "Export it in operator set 12."
