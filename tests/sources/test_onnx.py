"""An .onnx file as the source: held against the recipe, fixed, and refused where it is unsound."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.cache import file_sha256
from edgekit.errors import IntegrityError, SourceError
from edgekit.onnx.dims import graph_inputs, graph_outputs
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.sources.onnx import check_ends, onnx_model, read_checked
from edgekit.types import ModelKind
from tests import onnx_models
from tests import tflite_models as models
from tests.onnx_models import IMAGE, images, info, model, unary

X = InputSpec("x", (1, 4))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save_model(onnx_models.float_model(), path)
    return path


def spec(file: Path, **other: Any) -> ModelSpec:
    made = ModelSpec(
        framework="onnx", inputs=(IMAGE,), outputs=("hidden", "scores"), file=str(file)
    )
    return replace(made, **other)


def small(tmp_path: Path, made: Any, inputs: tuple[InputSpec, ...] = (X,)) -> ModelSpec:
    """A recipe's model with the output ``y``, for the ``ModelProto`` made."""
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    return spec(tmp_path / "m.onnx", inputs=inputs, outputs=("y",))


def scores(source_spec: ModelSpec) -> Any:
    with locate(source_spec).open_session(1) as session:
        return session.run({"x": images()})["scores"]


def test_a_file_that_fits_is_used_as_it_is(file: Path) -> None:
    source = locate(spec(file))
    assert source.kind is ModelKind.ONNX
    assert source.value == file
    assert source.files == {"model": file}
    assert source.size_bytes == file.stat().st_size
    with source.open_session(1) as session:
        x, w = images(), models.weights()
        answer = session.run({"x": x})
    np.testing.assert_allclose(answer["hidden"], models.hidden(x, w), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["scores"], models.reference(x, w), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", ["N", None, -1])
def test_open_sizes_become_the_recipes(tmp_path: Path, batch: int | str | None) -> None:
    file = tmp_path / "net.onnx"
    onnx.save_model(onnx_models.float_model(batch=batch), file)
    source = locate(spec(file))
    assert source.value != file
    assert source.files == {"model": file}
    fixed = onnx.load(source.value)
    assert [end.shape for end in graph_inputs(fixed)] == [(1, 3, 4, 4)]
    assert [end.shape for end in graph_outputs(fixed)] == [(1, 2, 4, 4), (1, 5)]
    found = scores(spec(file))
    np.testing.assert_allclose(
        found, models.reference(images(), models.weights()), rtol=1e-4, atol=1e-5
    )


def test_outputs_are_chosen_and_ordered_by_the_recipe(file: Path) -> None:
    source = locate(spec(file, outputs=("scores",)))
    assert [end.name for end in graph_outputs(onnx.load(source.value))] == ["scores"]
    turned = locate(spec(file, outputs=("scores", "hidden")))
    with turned.open_session(1) as session:
        assert [output.name for output in session.info.outputs] == ["scores", "hidden"]


def test_weights_that_are_listed_as_inputs_need_no_feeding(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    onnx.save_model(onnx_models.float_model(weights_as_inputs=True), file)
    source = locate(spec(file))
    assert [value.name for value in onnx.load(source.value).graph.input] == ["x"]
    assert scores(spec(file)).shape == (1, 5)


def test_functions_in_the_file_are_inlined(tmp_path: Path) -> None:
    own = helper.make_opsetid("mine", 1), helper.make_opsetid("", 17)
    body = [helper.make_node("Add", ["a", "a"], ["b"], "twice")]
    function = helper.make_function("mine", "Double", ["a"], ["b"], body, own)
    made = unary("Double", domain="mine")
    made.functions.append(function)
    source = locate(small(tmp_path, made))
    assert [node.op_type for node in onnx.load(source.value).graph.node] == ["Add"]


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path, file: Path) -> None:
    first = locate(spec(file)).fingerprint
    copy = tmp_path / "copy" / "net.onnx"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    assert locate(spec(copy)).fingerprint == first
    assert locate(spec(file, outputs=("scores",))).fingerprint != first
    onnx.save_model(onnx_models.float_model(seed=1), file)
    assert locate(spec(file)).fingerprint != first


def test_the_hash_is_checked(file: Path) -> None:
    assert locate(spec(file, sha256=file_sha256(file))).value == file
    with pytest.raises(IntegrityError):
        locate(spec(file, sha256="0" * 64))


def test_what_a_bridge_made_is_opened_as_it_is(file: Path) -> None:
    source = onnx_model(file, (IMAGE,), ("scores",))
    assert (source.kind, source.value, source.outputs) == (ModelKind.ONNX, file, ("scores",))
    with source.open_session(1) as session:
        assert session.info.inputs[0].shape == (1, 4, 4, 3)


# Inputs and outputs.


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        (replace(IMAGE, name="X1"), r"names 'X1', but the inputs of .* are x float32", "Did you"),
        (replace(IMAGE, shape=(1, 3, 8, 8)), r"x float32 \[1, 3, 8, 8\], but .* has x", "own into"),
        (replace(IMAGE, shape=(1, 48), layout="any"), r"\[1, 48\], but .* \[1, 3, 4, 4\]", "own"),
        (replace(IMAGE, dtype="uint8"), r"x uint8 .* but .* has x float32", "own into"),
    ],
)
def test_inputs_that_are_not_the_files(
    file: Path, wrong: InputSpec, message: str, hint: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        locate(spec(file, inputs=(wrong,)))
    assert hint in str(caught.value.hint)


def test_an_input_too_few(tmp_path: Path) -> None:
    ends = [info("x", (1, 4)), info("z", (1, 4))], [info("y", (1, 4))]
    made = model([helper.make_node("Add", ["x", "z"], ["y"])], *ends)
    with pytest.raises(SourceError, match=r"lacks z; the inputs of .* are x .*; z float32"):
        locate(small(tmp_path, made))


def test_an_output_that_is_not_the_files(file: Path) -> None:
    with pytest.raises(SourceError, match=r"names 'score', but .* are hidden, scores") as caught:
        locate(spec(file, outputs=("score",)))
    assert caught.value.hint == "Did you mean 'scores'?"


def test_one_symbol_has_one_size(tmp_path: Path) -> None:
    ends = [info("x", ("T", 4)), info("z", ("T", 4))], [info("y", ("T", 4))]
    made = model([helper.make_node("Add", ["x", "z"], ["y"])], *ends)
    wanted = small(tmp_path, made, (X, InputSpec("z", (2, 4))))
    with pytest.raises(SourceError, match="'T' would be 1 by the shape of x, and 2 by that of z"):
        locate(wanted)


def test_a_size_of_zero(tmp_path: Path) -> None:
    made = unary()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    with pytest.raises(SourceError, match=r"input x float32 \[0, 4\] .* a size of zero"):
        locate(small(tmp_path, made))


def test_a_shape_that_does_not_go_through(tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.ones((4, 2), np.float32), "table")
    ends = [info("x", (1, "T"))], [info("y", (1, 2))]
    made = model([helper.make_node("MatMul", ["x", "table"], ["y"], "mix")], *ends, [table])
    assert locate(small(tmp_path, made)).inputs == (X,)
    with pytest.raises(SourceError, match=r"(does not run|do not go through)") as caught:
        locate(small(tmp_path, made, (InputSpec("x", (1, 5)),)))
    assert "model.inputs" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (TensorProto.FLOAT16, r"x float16 \[1, 4\]"),
        (TensorProto.DOUBLE, r"x float64 \[1, 4\]"),
        (TensorProto.STRING, r"x string \[1, 4\]"),
        (TensorProto.BFLOAT16, r"x bfloat16 \[1, 4\]"),
        (TensorProto.COMPLEX64, r"x complex64 \[1, 4\]"),
    ],
)
def test_element_types_that_no_recipe_feeds(tmp_path: Path, dtype: int, said: str) -> None:
    with pytest.raises(SourceError, match=rf"input {said} of .*: edgekit feeds float32") as caught:
        locate(small(tmp_path, unary("Identity", dtype=dtype)))
    assert "Export the model" in str(caught.value.hint)


def test_ends_that_are_no_tensors(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [1, 4])
    made = model(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])], [info("x", (1, 4))], [sequence]
    )
    with pytest.raises(SourceError, match=r"output y sequence of any shape .* no array of numbers"):
        locate(small(tmp_path, made))
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 4])
    optional = helper.make_value_info("x", helper.make_optional_type_proto(kind))
    made = model(
        [helper.make_node("OptionalGetElement", ["x"], ["y"])], [optional], [info("y", (1, 4))]
    )
    with pytest.raises(SourceError, match="input x optional of any shape"):
        locate(small(tmp_path, made))


def test_an_output_that_is_left_out_may_be_anything(tmp_path: Path) -> None:
    made = unary()
    made.graph.node.append(helper.make_node("SequenceConstruct", ["x"], ["all"]))
    made.graph.output.append(
        helper.make_tensor_sequence_value_info("all", TensorProto.FLOAT, [1, 4])
    )
    source = locate(small(tmp_path, made))
    assert [end.name for end in graph_outputs(onnx.load(source.value))] == ["y"]


# Files.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a text file"),
        (b"<!DOCTYPE html><html>", "is a text file"),
        (b"PK\x03\x04 something else" * 9, "is no ONNX model"),
        (bytes(range(256)), "is no ONNX model"),
    ],
)
def test_files_that_are_no_onnx(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        locate(spec(tmp_path / "m.onnx"))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"net\.onnx (is no ONNX model|does not)"):
        locate(spec(file))


def test_more_than_protobuf_holds(tmp_path: Path) -> None:
    big = tmp_path / "big.onnx"
    with big.open("wb") as stream:
        stream.truncate(2**31 + 5)  # sparse: takes no room
    with pytest.raises(SourceError, match=r"has 2\.1 GB; a protobuf message") as caught:
        locate(spec(big))
    assert "save_as_external_data=True" in str(caught.value.hint)


def test_no_file_is_named() -> None:
    with pytest.raises(SourceError, match=r"needs model\.file"):
        locate(ModelSpec(framework="onnx", inputs=(IMAGE,)))


# Weights in files of their own.


@pytest.fixture
def external(tmp_path: Path) -> Path:
    file = tmp_path / "net" / "net.onnx"
    file.parent.mkdir()
    onnx_models.with_external_data(file)
    return file


def test_external_data_is_part_of_the_model(external: Path) -> None:
    source = locate(spec(external))
    assert source.value == external
    weights = external.with_name("weights.bin")
    assert source.files == {"model": external, "weights.bin": weights}
    assert source.size_bytes == external.stat().st_size + weights.stat().st_size
    np.testing.assert_allclose(
        scores(spec(external)), models.reference(images(), models.weights()), rtol=1e-4, atol=1e-5
    )
    data = np.fromfile(weights, np.float32)
    (data * 2).tofile(weights)
    assert locate(spec(external)).fingerprint != source.fingerprint


def test_external_data_goes_with_a_changed_copy(external: Path) -> None:
    source = locate(spec(external, outputs=("scores",)))
    assert source.value.parent != external.parent
    assert source.value.with_name("weights.bin").is_file()
    np.testing.assert_allclose(
        scores(spec(external, outputs=("scores",))),
        models.reference(images(), models.weights()),
        rtol=1e-4,
        atol=1e-5,
    )


def test_external_data_that_is_missing(external: Path) -> None:
    external.with_name("weights.bin").unlink()
    with pytest.raises(SourceError, match=r"tensor filter in weights\.bin, which is not there"):
        locate(spec(external))


def test_external_data_that_is_cut_off(external: Path) -> None:
    weights = external.with_name("weights.bin")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(SourceError, match=r"of weights\.bin, which has"):
        locate(spec(external))


@pytest.mark.parametrize(
    "location",
    ["../outside.bin", "/etc/hostname", "", "a/../../outside.bin", "C:\\w.bin", "a\\..\\b"],
)
def test_external_data_outside_the_folder(external: Path, location: str) -> None:
    external.parent.parent.joinpath("outside.bin").write_bytes(
        external.with_name("weights.bin").read_bytes()
    )
    relocated(external, location)
    with pytest.raises(SourceError, match="outside its own folder"):
        locate(spec(external))


def test_external_data_behind_a_link_that_leaves_the_folder(external: Path) -> None:
    weights = external.with_name("weights.bin")
    outside = external.parent.parent / "outside.bin"
    weights.rename(outside)
    os.symlink(outside, weights)
    with pytest.raises(SourceError, match=r"in 'weights\.bin', outside its own folder"):
        locate(spec(external))
    folder = external.parent / "linked"
    os.symlink(outside.parent, folder)
    relocated(external, "linked/outside.bin")
    with pytest.raises(SourceError, match="outside its own folder"):
        locate(spec(external))


def relocated(file: Path, location: str) -> None:
    made = onnx.load(file, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    file.write_bytes(made.SerializeToString())


# Graphs.


@pytest.mark.parametrize(
    ("opset", "words"),
    [
        (99, "uses operator set 99; the installed onnx"),
        (6, "uses operator set 6; ONNX Runt"),
        (0, "does not say in which operator set"),
    ],
)
def test_operator_sets_out_of_reach(tmp_path: Path, opset: int, words: str) -> None:
    made = unary()
    made.opset_import[0].version = opset
    with pytest.raises(SourceError, match=words) as caught:
        locate(small(tmp_path, made))
    assert caught.value.hint


def test_a_newer_format(tmp_path: Path) -> None:
    made = unary()
    made.ir_version = 99
    with pytest.raises(SourceError, match="version 99 of the format; the installed onnx"):
        locate(small(tmp_path, made))


def test_operators_of_nobody(tmp_path: Path) -> None:
    made = unary("Swirl", domain="acme.ops", name="deep")
    with pytest.raises(SourceError, match=r"outside ONNX: acme\.ops\.Swirl at deep"):
        locate(small(tmp_path, made))


def test_operators_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"m\.onnx does not pass onnx\.checker: .*Swirl"):
        locate(small(tmp_path, unary("Swirl")))


def test_a_graph_out_of_order(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Neg", ["x"], ["h"])]
    made = model(nodes, [info("x", (1, 4))], [info("y", (1, 4))])
    with pytest.raises(SourceError, match=r"does not pass onnx\.checker: .*sorted"):
        locate(small(tmp_path, made))


def test_quantized_already(tmp_path: Path) -> None:
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["y"], "dequantize"),
    ]
    made = model(nodes, [info("x", (1, 4))], [info("y", (1, 4))], [scale])
    with pytest.raises(SourceError, match="quantized already: QuantizeLinear at quantize"):
        locate(small(tmp_path, made))


def weighted(op: str, value: float) -> Any:
    table = numpy_helper.from_array(np.full((4, 4), value, np.float32), "table")
    node = helper.make_node(op, ["x", "table"], ["y"])
    shape = (1, 4) if op == "MatMul" else (4, 4)
    return model([node], [info("x", (1, 4))], [info("y", shape)], [table])


@pytest.mark.parametrize(("op", "value"), [("MatMul", np.nan), ("MatMul", np.inf), ("Max", np.nan)])
def test_weights_that_are_no_numbers(tmp_path: Path, op: str, value: float) -> None:
    with pytest.raises(SourceError, match="hold NaN or infinity: table"):
        locate(small(tmp_path, weighted(op, value)))


def test_an_infinity_that_is_no_weight_may_be_meant(tmp_path: Path) -> None:
    assert locate(small(tmp_path, weighted("Max", -np.inf))).outputs == ("y",)


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_control_flow_is_named_and_runs(tmp_path: Path) -> None:
    def branch(op: str) -> Any:
        return helper.make_graph(
            [helper.make_node(op, ["x"], ["b"], f"in_{op}")], op, [], [info("b", (1, 4))]
        )

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["cond"], to=TensorProto.BOOL),
        helper.make_node(
            "If", ["cond"], ["y"], "choose", then_branch=branch("Neg"), else_branch=branch("Abs")
        ),
    ]
    progress = Notes()
    wanted = small(tmp_path, model(nodes, [info("x", (1, 4))], [info("y", (1, 4))]))
    source = locate(wanted, progress=progress)
    assert "If at choose" in progress.notes[0]
    with source.open_session(1) as session:
        ones = np.ones((1, 4), np.float32)
        np.testing.assert_array_equal(session.run({"x": ones})["y"], -ones)


def test_a_model_that_crashes_or_fails_is_found_here(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 7]), "shape")
    made = model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], "wrong")],
        [info("x", (1, 4))],
        [info("y", (1, 7))],
        [shape],
    )
    with pytest.raises(SourceError, match=r"m\.onnx does not run: .*wrong"):
        locate(small(tmp_path, made))


def test_no_byte_changed_is_a_bug_of_ours(file: Path) -> None:
    """Whatever a damaged file holds: it is sound all the same, or it is refused in words."""
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            made, _ = read_checked(file, "net.onnx")
            check_ends(graph_inputs(made), graph_outputs(made), (IMAGE,), ("scores",), "net.onnx")
        except SourceError:
            refused += 1
    assert refused > 30
