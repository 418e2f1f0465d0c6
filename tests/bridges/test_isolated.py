"""What is said before a tool in an isolated environment is started."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from edgekit.bridges.isolated import refuse_lacking
from edgekit.errors import ConversionError


@pytest.mark.parametrize(
    ("operator", "verdict", "bridges", "hint"),
    [
        ("GridSample", "; onnx2tf has", ("onnx2tf",), "Try the bridge onnx2tf (quantize.bridge)."),
        (
            "Swish",
            "; onnx2tf has not either",
            (),
            "Export the model without them, from operators that both have.",
        ),
    ],
)
def test_the_other_bridge_is_offered_where_it_has_the_operator(
    operator: str, verdict: str, bridges: tuple[str, ...], hint: str
) -> None:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xgy"]
    node = helper.make_node(operator, ["x", "g"][: 1 + (operator == "GridSample")], ["y"], "node")
    graph = helper.make_graph([node], "g", ends[:2], ends[2:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)])
    with pytest.raises(ConversionError) as caught:
        refuse_lacking("onnx_tf", made, 17)
    assert caught.value.message == f"onnx_tf has no {operator} (at node){verdict}"
    assert (caught.value.bridges, caught.value.hint) == (bridges, hint)
