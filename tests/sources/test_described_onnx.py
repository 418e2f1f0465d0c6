"""What an ONNX file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.described import Described, describe
from tests import onnx_models
from tests.onnx_models import info, model, unary


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, onnx_models.float_model(batch="N"))


def written(folder: Path, made: Any, name: str = "net.onnx") -> Path:
    onnx.save_model(made, folder / name)
    return folder / name


def test_an_image_model_with_an_open_batch(file: Path) -> None:
    assert describe(file) == Described(
        framework="onnx",
        inputs=(InputSpec("x", (1, 3, 4, 4), "float32", "NCHW"),),
        outputs=("hidden", "scores"),
        output_shapes=((1, 4, 4, 2), (1, 5)),
        guesses=("input x [1, 3, 4, 4] is NCHW, by its channels",),
    )


def test_it_is_known_by_its_content_too(tmp_path: Path) -> None:
    assert describe(written(tmp_path, unary(), "net.model")).framework == "onnx"


def test_a_layout_that_was_said_is_no_guess(file: Path) -> None:
    found = describe(file, layout="NCHW")
    assert found.inputs[0].layout == "NCHW"
    assert found.guesses == ()


def test_a_layout_that_the_shape_does_not_tell(tmp_path: Path) -> None:
    ends = [info("x", (1, 8, 8, 8))], [info("y", (1, 8, 8, 8))]
    file = written(tmp_path, model([helper.make_node("Neg", ["x"], ["y"])], *ends))
    with pytest.raises(SourceError, match="does not tell its channels' axis") as caught:
        describe(file)
    assert "--layout NCHW" in str(caught.value.hint)
    assert describe(file, layout="NHWC").inputs[0].layout == "NHWC"


def test_open_sizes_are_asked_for_and_taken(tmp_path: Path) -> None:
    ends = [info("x", ("N", "T", 4))], [info("y", ("N", "T", 4))]
    file = written(tmp_path, model([helper.make_node("Neg", ["x"], ["y"])], *ends))
    with pytest.raises(SourceError, match=r"x float32 \[N, T, 4\] leaves sizes open") as caught:
        describe(file)
    assert caught.value.hint == "Give them, e.g. --input-shape 1,224,4"
    found = describe(file, input_shape=(1, 9, 4))
    assert found.inputs == (InputSpec("x", (1, 9, 4)),)
    assert found.output_shapes == ((1, 9, 4),)
    for wrong in ((1, 9, 5), (9, 4)):
        with pytest.raises(SourceError, match="does not fit --input-shape"):
            describe(file, input_shape=wrong)


def test_a_shape_is_about_one_input(tmp_path: Path) -> None:
    ends = [info("x", (1, 4)), info("z", (1, 4))], [info("y", (1, 4))]
    file = written(tmp_path, model([helper.make_node("Add", ["x", "z"], ["y"])], *ends))
    with pytest.raises(SourceError, match="has 2 inputs, and --input-shape is about one"):
        describe(file, input_shape=(1, 4))


def test_open_sizes_of_two_inputs_are_for_a_recipe(tmp_path: Path) -> None:
    ends = [info("x", ("N", "T")), info("z", ("N", "T"))], [info("y", ("N", "T"))]
    file = written(tmp_path, model([helper.make_node("Add", ["x", "z"], ["y"])], *ends))
    with pytest.raises(SourceError, match="leaves sizes open") as caught:
        describe(file)
    assert caught.value.hint == "Write its open sizes into a recipe by hand, in model.inputs."


def test_outputs_without_numbers_are_left_out(tmp_path: Path) -> None:
    made = unary()
    made.graph.node.append(helper.make_node("SequenceConstruct", ["x"], ["all"]))
    made.graph.output.append(
        helper.make_tensor_sequence_value_info("all", TensorProto.FLOAT, [1, 4])
    )
    found = describe(written(tmp_path, made))
    assert found.outputs == ("y",)
    assert found.guesses[0].startswith("output all sequence of any shape is left out")


def test_what_is_no_source_is_refused_here_too(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(SourceError, match="is a text file"):
        describe(tmp_path / "net.onnx")
    with pytest.raises(SourceError, match=r"outside ONNX: acme\.Swirl"):
        describe(written(tmp_path, unary("Swirl", domain="acme")))
