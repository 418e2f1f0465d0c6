"""Reading and writing .onnx files, and the layouts in their metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgekit.onnx import model_file
from edgekit.onnx.model_file import read_model, with_layouts, write_model
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.onnx_loading import LAYOUTS_PROPERTY
from tests import onnx_models
from tests.onnx_models import IMAGE


def properties(model: Any) -> dict[str, str]:
    return {prop.key: prop.value for prop in model.metadata_props}


def test_layouts_are_written_beside_what_was_there() -> None:
    model = onnx_models.float_model()
    model.metadata_props.add(key="author", value="me")
    made = with_layouts(model, (IMAGE, InputSpec("v", (1, 4))))
    assert json.loads(properties(made)[LAYOUTS_PROPERTY]) == {"x": "NCHW"}
    assert properties(made)["author"] == "me"
    assert properties(model) == {"author": "me"}
    assert properties(with_layouts(made, (InputSpec("x", (1, 4)),))) == {"author": "me"}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    model = onnx_models.float_model()
    write_model(model, tmp_path / "net.onnx")
    assert read_model(tmp_path / "net.onnx") == model
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(model_file.os, "replace", full)
    with pytest.raises(OSError, match="no room"):
        write_model(onnx_models.float_model(), file)
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_tensors_are_those_of_inner_graphs_too() -> None:
    inner = onnx.helper.make_tensor("inside", onnx.TensorProto.FLOAT, [1], [1.0])
    body = onnx.helper.make_graph([], "body", [], [], [inner])
    model = onnx_models.float_model()
    model.graph.node.append(
        onnx.helper.make_node("If", ["c"], ["o"], then_branch=body, else_branch=body)
    )
    names = [tensor.name for tensor in model_file.tensors(model)]
    assert names == ["filter", "filter_bias", "matrix", "matrix_bias", "inside", "inside"]
