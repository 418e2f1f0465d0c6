"""What is said before a tool in an isolated environment is started."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from edgekit.bridges.bridge import BridgeJob
from edgekit.bridges.isolated import ready_model, refuse_lacking
from edgekit.errors import ConversionError
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import OnnxSpec
from edgekit.sources.onnx import onnx_model
from tests.onnx_models import IMAGE, with_external_data


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


def test_more_than_protobuf_holds_is_refused_with_its_external_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.onnx"
    with_external_data(file)
    inside, beside = file.stat().st_size, (tmp_path / "weights.bin").stat().st_size
    monkeypatch.setattr("edgekit.bridges.isolated.MAX_PROTOBUF_BYTES", inside + beside - 1)
    source = onnx_model(file, (IMAGE,), ("scores",))
    with pytest.raises(ConversionError, match="as one protobuf message, which ends at 2 GB") as it:
        ready_model(BridgeJob(source, tmp_path, OnnxSpec(), SilentProgress()))
    assert "a .tflite ends at 2 GB too" in str(it.value)
