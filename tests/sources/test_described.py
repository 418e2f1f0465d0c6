"""What model files say about themselves, format by format."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.described import Described, describe
from tests import tflite_models as models
from tests.sources.conftest import IMAGE


def _exported(folder: Path, module: torch.nn.Module, *args: Any, **options: Any) -> Path:
    file = folder / "model.pt2"
    torch.export.save(torch.export.export(module.eval(), args, **options), file)
    return file


def test_an_exported_program(saved: Path) -> None:
    assert describe(saved / "net.pt2") == Described(
        framework="pytorch",
        inputs=(InputSpec("x", (1, 3, 8, 8), "float32", "NCHW"),),
        outputs=("output_0", "output_1"),
        output_shapes=((1, 4, 8, 8), (1, 5)),
        guesses=("input x [1, 3, 8, 8] is NCHW, by its channels",),
    )


def test_a_dynamic_batch_becomes_one(saved: Path) -> None:
    found = describe(saved / "free.pt2")
    assert found.inputs == describe(saved / "net.pt2").inputs
    assert found.output_shapes == ((1, 4, 8, 8), (1, 5))


def test_other_dynamic_axes_are_refused(tmp_path: Path) -> None:
    height = torch.export.Dim("height", min=4, max=64)
    file = _exported(
        tmp_path,
        torch.nn.Conv2d(3, 4, 3),
        torch.zeros(2, 3, 8, 8),
        dynamic_shapes=({2: height},),
    )
    with pytest.raises(SourceError, match="input input has the dynamic axes 2") as caught:
        describe(file)
    assert "only the batch may be dynamic" in str(caught.value.hint)


class _Scaled(torch.nn.Module):
    def forward(self, x: torch.Tensor, by: int) -> torch.Tensor:
        return x * by


def test_an_argument_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the program also takes 3, which is no tensor"):
        describe(_exported(tmp_path, _Scaled(), torch.zeros(1, 4), 3))


class _Named(torch.nn.Module):
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": (ids * mask).sum(1, keepdim=True), "ids": ids}


def test_several_inputs_and_a_dict_of_outputs(tmp_path: Path) -> None:
    ids, mask = torch.zeros(1, 6, dtype=torch.int64), torch.ones(1, 6, dtype=torch.int32)
    found = describe(_exported(tmp_path, _Named(), ids, mask))
    assert found.inputs == (
        InputSpec("ids", (1, 6), "int64", "any"),
        InputSpec("mask", (1, 6), "int32", "any"),
    )
    assert found.output_shapes == ((1, 1), (1, 6))
    assert found.guesses == ()


def test_an_input_type_edgekit_has_no_name_for(tmp_path: Path) -> None:
    file = _exported(tmp_path, torch.nn.Identity(), torch.zeros(1, 4, dtype=torch.float64))
    with pytest.raises(SourceError, match="is float64; edgekit takes float32, int32"):
        describe(file)


def test_torchscript_needs_the_shape(saved: Path) -> None:
    with pytest.raises(SourceError, match="does not record the shape") as caught:
        describe(saved / "net.ts")
    assert "--input-shape 1,3,224,224" in str(caught.value.hint)
    found = describe(saved / "net.ts", input_shape=(1, 3, 8, 8))
    assert found.inputs == (IMAGE,)
    assert (found.outputs, found.output_shapes) == (
        ("output_0", "output_1"),
        ((1, 4, 8, 8), (1, 5)),
    )
    with pytest.raises(SourceError, match=r"does not take an input of shape \[\[1, 7, 8, 8\]\]"):
        describe(saved / "net.ts", input_shape=(1, 7, 8, 8), layout="NCHW")


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 3, 8, 8), "NCHW"),
        ((1, 8, 8, 3), "NHWC"),
        ((1, 1, 8, 8), "NCHW"),
        ((1, 8, 8, 1), "NHWC"),
    ],
)
def test_the_layout_by_its_channels(tmp_path: Path, shape: tuple[int, ...], layout: str) -> None:
    file = _exported(tmp_path, torch.nn.ReLU(), torch.zeros(shape))
    found = describe(file)
    assert found.inputs[0].layout == layout
    assert found.guesses == (f"input input {list(shape)} is {layout}, by its channels",)
    assert found.outputs == ("output",)


@pytest.mark.parametrize("shape", [(1, 8, 8, 8), (1, 3, 8, 3), (1, 1, 8, 1)])
def test_a_layout_that_cannot_be_told_is_asked_for(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = _exported(tmp_path, torch.nn.ReLU(), torch.zeros(shape))
    with pytest.raises(SourceError) as caught:
        describe(file)
    assert "--layout NCHW or --layout NHWC" in str(caught.value.hint)
    found = describe(file, layout="NHWC")
    assert (found.inputs[0].layout, found.guesses) == ("NHWC", ())


@pytest.mark.parametrize("data", [models.two_output_model(), models.free_batch_model()])
def test_a_tflite_file(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.bin"  # told by its content
    file.write_bytes(data)
    found = describe(file)
    assert found.framework == "tflite"
    assert found.inputs == (InputSpec("x", models.INPUT_SHAPE, "float32", "NHWC"),)
    assert found.outputs[-1] == "scores"
    assert found.output_shapes[-1] == (1, models.CLASSES)
    assert found.guesses == ("input x [1, 4, 4, 3] is NHWC, as .tflite models are",)


def test_a_tflite_file_with_other_free_axes(tmp_path: Path) -> None:
    graph = models.Graph()
    x = graph.tensor("x", (1, 1, 1, 3), shape_signature=(1, -1, -1, 3))
    y = graph.tensor("y", (1, 1, 1, 3), shape_signature=(1, -1, -1, 3))
    graph.operator("NEG", [x], [y], table="NegOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    file = tmp_path / "model.tflite"
    file.write_bytes(models.write([graph], {"s": 0}))
    with pytest.raises(SourceError, match="input x has the dynamic axes 1, 2"):
        describe(file)


def test_a_float_model_that_takes_pixels_is_no_quantized_one(tmp_path: Path) -> None:
    graph = models.Graph()
    x, y = graph.tensor("x", (1, 4, 4, 3), "uint8"), graph.tensor("y", (1, 4, 4, 3))
    graph.operator("CAST", [x], [y], table="CastOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    file = tmp_path / "model.tflite"
    file.write_bytes(models.write([graph], {"s": 0}))
    assert describe(file).inputs[0].dtype == "uint8"


def test_a_quantized_tflite_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(models.int8_model())
    with pytest.raises(SourceError, match="is quantized already"):
        describe(file)


def test_files_that_are_no_model(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*gone\.pt2: No such file"):
        describe(tmp_path / "gone.pt2")
    with pytest.raises(SourceError, match="is no SavedModel"):
        describe(tmp_path)
    with pytest.raises(SourceError, match="is a checkpoint"):
        describe(saved / "net.pth")
    text = tmp_path / "notes.txt"
    for content in (b"", b"no model"):
        text.write_bytes(content)
        with pytest.raises(SourceError, match="no model format that edgekit knows") as caught:
            describe(text)
        assert "model.factory" in str(caught.value.hint)
    garbage = tmp_path / "garbage.zip"
    with zipfile.ZipFile(garbage, "w") as stream:
        stream.writestr("a", "b")
    with pytest.raises(SourceError, match="is a zip archive, but no PyTorch model"):
        describe(garbage)
