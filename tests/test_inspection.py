"""``edgekit.inspect``: every format, what it says, and files that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgekit
from edgekit.errors import SourceError
from edgekit.inspection import file_format
from edgekit.report.inspection import Inspection
from edgekit.types import ArtefactFormat
from tests import onnx_models
from tests import tflite_models as models
from tests.int8_models import quantized
from tests.tflite import graphs
from tests.tflite.delegates.single import IMAGE, single

KEYS = (
    *("schema", "file", "format", "kind", "size_bytes", "weights_bytes", "inputs", "outputs"),
    *("ops", "macs", "int8_mac_fraction", "transposes", "float_ops", "float_islands", "groups"),
    *("operators", "metadata", "runtime", "delegates"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect")


def inspected(folder: Path, data: bytes, name: str = "model.tflite") -> Inspection:
    (folder / name).write_bytes(data)
    return edgekit.inspect(folder / name)


def test_a_quantized_file(folder: Path) -> None:
    found = inspected(folder, quantized(graphs.chain()))
    assert found.kind == "full-integer INT8"
    (end,) = found.file.inputs
    assert (end.name, end.shape, end.dtype) == ("x", (1, 6, 6, 3), "int8")
    assert end.quant is not None
    assert found.groups[0].op == "CONV_2D"
    assert found.groups[0].count == 3
    assert sum(each.mac_fraction for each in found.groups) == pytest.approx(1)
    assert [plan.delegate for plan in found.delegates] == ["xnnpack", "gpu", "nnapi"]


def test_float_ends_are_told_from_integer_ones(folder: Path) -> None:
    found = inspected(folder, quantized(graphs.chain(), ends="float32"))
    assert found.kind == "INT8 with float input and output"
    assert found.islands == ()


def test_a_float_operator_among_integer_ones_is_an_island(folder: Path) -> None:
    # The quantizer has no integer form of it and leaves it float.
    data = quantized(graphs.activated("LEAKY_RELU", 0.1))
    found = inspected(folder, data)
    assert found.kind == "mixed INT8 and float: 1 of 3 operators float"
    (island,) = found.islands
    assert island.ops == ("LEAKY_RELU",)
    assert (len(island.enters), len(island.leaves)) == (1, 1)


def test_an_onnx_file(folder: Path) -> None:
    found = inspected(folder, onnx_models.float_model("N").SerializeToString(), "net.onnx")
    assert (found.format, found.kind) == (ArtefactFormat.ONNX, "float32")
    assert found.file.inputs[0].shape == (-1, 3, 4, 4)
    assert found.file.facts.transposes == 1
    assert (found.runtime, found.delegates) == (None, ())
    assert found.file.metadata["operator sets"] == "ai.onnx 17"


def test_the_content_counts_not_the_name(folder: Path) -> None:
    found = inspected(folder, models.float_model(), "misnamed.onnx")
    assert found.format is ArtefactFormat.TFLITE


def test_json_has_the_documented_keys(folder: Path, repository: Path) -> None:
    found = inspected(folder, quantized(graphs.chain()))
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert tuple(told) == KEYS
    page = (repository / "docs" / "inspect.md").read_text(encoding="utf-8")
    assert not [key for key in KEYS if f"`{key}" not in page]
    assert [plan["predicted"] for plan in told["delegates"]] == [True] * 3
    assert set(told["runtime"]) == {"oldest", "versions", "understated", "unknown"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.tflite", b"", "is empty"),
        ("foreign.tflite", b"PK\x03\x04 a zip", "not a .tflite file"),
        ("foreign.bin", b"\x80\x02 a pickle", "no .tflite, .onnx or .pt2 file"),
        ("cut.pt2", b"PK\x03\x04", "is damaged or no ExportedProgram"),
        ("text.onnx", b"version https://git-lfs", "is a text file"),
    ],
)
def test_files_that_cannot_be_read(folder: Path, name: str, content: bytes, words: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as raised:
        edgekit.inspect(folder / name)
    assert raised.value.hint
    assert name in str(raised.value)


def test_missing_files_and_folders(folder: Path) -> None:
    with pytest.raises(SourceError, match="cannot read"):
        file_format(folder / "nowhere.tflite")
    with pytest.raises(SourceError, match="is a folder"):
        file_format(folder)


WHOLE = models.float_model()


@given(st.integers(1, len(WHOLE) - 1))
def test_a_truncated_file_is_refused_or_whole_enough(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "truncated.tflite"
    file.write_bytes(WHOLE[:length])
    try:
        found = edgekit.inspect(file)
    except SourceError:
        return
    assert found.file.facts.ops


@given(st.integers(8, len(WHOLE) - 1), st.integers(0, 255))
def test_a_flipped_byte_never_surprises(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "flipped.tflite"
    file.write_bytes(WHOLE[:position] + bytes([value]) + WHOLE[position + 1 :])
    try:
        json.dumps(edgekit.inspect(file).to_dict())
    except SourceError:
        return


def test_a_tensor_of_no_type_is_damage(folder: Path) -> None:
    model = onnx_models.float_model()
    model.graph.initializer[0].data_type = 0
    with pytest.raises(SourceError, match="element type 0"):
        inspected(folder, model.SerializeToString(), "typeless.onnx")


def test_a_description_in_another_encoding_is_still_shown(folder: Path) -> None:
    damaged = models.float_model().replace(b"edgekit test model", b"edgekit t\xe9st model")
    assert "t\ufffdst" in inspected(folder, damaged).file.metadata["description"]


def test_an_operator_nobody_knows(folder: Path) -> None:
    found = inspected(folder, single("SIGN", [IMAGE], [IMAGE], version=9))
    assert found.runtime is not None
    assert [each.op for each in found.runtime.unknown] == ["SIGN"]
    assert found.runtime.oldest is None


def test_quantized_onnx_is_said_to_be_qdq(folder: Path) -> None:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: object) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value), name)

    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "s", "z"], ["y"]),
    ]
    model = onnx_models.model(
        nodes,
        [onnx_models.info("x", (1, 4))],
        [onnx_models.info("y", (1, 3))],
        [
            constant("s", np.float32(0.1)),
            constant("z", np.int8(0)),
            constant("wq", np.ones((4, 3), np.int8)),
        ],
    )
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    found = inspected(folder, model.SerializeToString(), "qdq.onnx")
    assert (
        found.kind
        == "INT8 with float input and output, as QDQ (float operators between conversions)"
    )
    assert found.file.facts.int8_mac_fraction == 1
