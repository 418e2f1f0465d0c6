"""A starter recipe for every kind of model file: what it says, assumes, asks and refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cli.options import NORMALIZATIONS as NAMES
from edgekit.errors import DataError, RecipeError, SourceError, UsageError
from edgekit.progress import SilentProgress
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec, LabelsSpec, Recipe
from edgekit.runs.labels import load_labels
from edgekit.starter import Choices, Started, parse_shape, starter_recipe
from edgekit.starter_yaml import NORMALIZATIONS, recipe_name
from edgekit.tflite.metadata import ModelMetadata, Normalization, TensorMetadata
from edgekit.tflite.metadata_write import with_metadata
from tests import tflite_models as models
from tests.tiny_runs import write_arrays, write_model, write_photos


class Net(torch.nn.Module):
    """An image [1, channels, height, width] to five scores."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = torch.nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


class TwoInputs(torch.nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left @ right.transpose(1, 2)


def export(module: torch.nn.Module, *shapes: tuple[int, ...], file: Path, **options: Any) -> Path:
    examples = tuple(torch.zeros(shape) for shape in shapes)
    torch.export.save(torch.export.export(module.eval(), examples, **options), file)
    return file


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    return write_model(tmp_path)


def start(model: Path, **choices: Any) -> Started:
    return starter_recipe(model, Choices(**choices))


def written(model: Path, folder: Path, **choices: Any) -> Recipe:
    """The recipe as it is read back from where ``init`` would write it."""
    started = starter_recipe(model, Choices(**choices), folder=folder)
    file = folder / "starter.yaml"
    file.write_text(started.text, encoding="utf-8")
    recipe = load_recipe(str(file))
    assert recipe == started.recipe
    return recipe


# What is read from the file ---------------------------------------------------------------------


def test_a_tflite_model(tflite: Path, tmp_path: Path) -> None:
    write_photos(tmp_path)
    recipe = written(tflite, tmp_path, data=tmp_path / "photos", normalize="signed")
    assert recipe.name == "net_int8"
    assert recipe.model.framework == "tflite"
    assert recipe.model.inputs == (InputSpec("x", (1, 4, 4, 3), "float32", "NHWC"),)
    assert recipe.model.outputs == ("scores",)
    assert recipe.evaluate.task == "classification"
    assert recipe.gate.agreement_min == 0.95
    assert (recipe.preprocess.mean, recipe.preprocess.std) == ((127.5,), (127.5,))
    assert recipe.calibration.dataset == recipe.evaluate.dataset == str(tmp_path / "photos")


def test_an_exported_program(tmp_path: Path) -> None:
    model = export(Net(), (1, 3, 16, 24), file=tmp_path / "my net.v2.pt2")
    recipe = written(model, tmp_path, normalize="imagenet")
    assert recipe.name == "my_net_int8"
    assert recipe.model.inputs == (InputSpec("x", (1, 3, 16, 24), "float32", "NCHW"),)
    assert recipe.model.outputs == ("output",)
    assert recipe.preprocess.resize is not None
    assert (recipe.preprocess.resize.width, recipe.preprocess.resize.height) == (24, 16)
    assert recipe.preprocess.crop is None
    assert recipe.calibration.dataset == "imagenet_photos"
    assert not recipe.evaluate.labelled


def test_a_program_with_a_free_batch_is_given_one_at_a_time(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch")
    model = export(
        Net(), (2, 3, 16, 16), file=tmp_path / "net.pt2", dynamic_shapes={"x": {0: batch}}
    )
    recipe = written(model, tmp_path, normalize="unit")
    assert recipe.model.inputs[0].shape == (1, 3, 16, 16)
    assert recipe.evaluate.task == "classification"


def test_a_program_with_a_free_size_is_refused(tmp_path: Path) -> None:
    size = torch.export.Dim("size", min=8, max=64)
    model = export(
        Net(), (1, 3, 16, 16), file=tmp_path / "net.pt2", dynamic_shapes={"x": {2: size}}
    )
    with pytest.raises(SourceError, match="dynamic axes 2"):
        start(model, normalize="unit")


def test_torchscript_needs_its_shape(tmp_path: Path) -> None:
    model = tmp_path / "net.ts"
    torch.jit.trace(Net().eval(), torch.zeros(1, 3, 16, 16)).save(str(model))
    with pytest.raises(SourceError, match="does not record the shape") as caught:
        start(model, normalize="unit")
    assert "--input-shape" in (caught.value.hint or "")
    recipe = written(model, tmp_path, normalize="unit", input_shape=(1, 3, 16, 16))
    assert recipe.model.inputs == (InputSpec("image", (1, 3, 16, 16), "float32", "NCHW"),)
    with pytest.raises(SourceError, match="does not take an input of shape"):
        start(model, normalize="unit", input_shape=(1, 1, 16, 16), layout="NCHW")


def test_a_model_of_one_channel(tmp_path: Path) -> None:
    model = export(Net(channels=1), (1, 1, 28, 28), file=tmp_path / "digits.pt2")
    recipe = written(model, tmp_path, normalize="unit")
    assert recipe.preprocess.colour == "GRAY"
    assert "channels are GRAY" in start(model, normalize="unit").assumptions
    with pytest.raises(UsageError, match="three channels, the model's input has one"):
        start(model, normalize="imagenet")


@pytest.mark.parametrize(
    ("shape", "found"), [((1, 3, 8, 8), "NCHW"), ((1, 8, 8, 3), "NHWC"), ((1, 8, 8, 1), "NHWC")]
)
def test_the_layout_follows_the_channels(
    tmp_path: Path, shape: tuple[int, ...], found: str
) -> None:
    model = export(torch.nn.Flatten(), shape, file=tmp_path / "net.pt2")
    started = start(model, normalize="unit")
    assert started.recipe.model.inputs[0].layout == found
    assert any(f"is {found}, by its channels" in text for text in started.assumptions)


@pytest.mark.parametrize("shape", [(1, 3, 5, 3), (1, 2, 8, 8)])
def test_a_layout_that_the_shape_does_not_tell_is_asked_for(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    model = export(torch.nn.Flatten(), shape, file=tmp_path / "net.pt2")
    with pytest.raises(SourceError, match="does not tell its channels' axis") as caught:
        start(model, normalize="unit")
    assert "--layout NCHW" in (caught.value.hint or "")


def test_a_layout_that_is_given_is_no_assumption(tmp_path: Path) -> None:
    model = export(torch.nn.Flatten(), (1, 3, 5, 3), file=tmp_path / "net.pt2")
    started = start(model, normalize="unit", layout="NHWC")
    assert started.recipe.model.inputs[0].layout == "NHWC"
    assert not any("NHWC" in text for text in started.assumptions)


def test_outputs_that_are_no_scores(tmp_path: Path) -> None:
    model = write_model(tmp_path, models.two_output_model())
    started = start(model, normalize="unit")
    assert started.recipe.model.outputs == ("hidden", "scores")
    assert started.recipe.evaluate.task == "tensors"
    assert (started.recipe.gate.agreement_min, started.recipe.gate.sqnr_db_min) == (None, 15)
    assert "the outputs are plain numbers, not class scores" in started.assumptions


# Data -------------------------------------------------------------------------------------------


def test_arrays_for_several_inputs(tmp_path: Path) -> None:
    model = export(TwoInputs(), (1, 2, 6), (1, 2, 6), file=tmp_path / "pair.pt2")
    with pytest.raises(DataError, match=r"left \[1, 2, 6\], right \[1, 2, 6\]") as caught:
        start(model)
    assert "--data samples.npz" in (caught.value.hint or "")
    rows = np.random.default_rng(0).normal(size=(20, 2, 6)).astype(np.float32)
    data = tmp_path / "samples.npz"
    np.savez(data, left=rows, right=rows)
    recipe = written(model, tmp_path, data=data)
    assert recipe.preprocess.kind == "arrays"
    assert [spec.name for spec in recipe.model.inputs] == ["left", "right"]
    np.savez(data, left=rows, wrong=rows)
    with pytest.raises(DataError, match=r"\['left', 'wrong'\].*\['left', 'right'\]"):
        start(model, data=data)


def test_arrays_that_are_inputs_already_are_not_normalised(tflite: Path, tmp_path: Path) -> None:
    data = write_arrays(tmp_path)
    assert written(tflite, tmp_path, data=data).preprocess.kind == "arrays"
    with pytest.raises(UsageError, match="passed on as they are"):
        start(tflite, data=data, normalize="unit")


@pytest.mark.parametrize("name", ["photos.npy", "photos.npz"])
def test_arrays_of_pixels_are_images(tflite: Path, tmp_path: Path, name: str) -> None:
    """0 to 255 fed as they are would be a normalisation nobody chose."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 9, 3), np.uint8)
    data = tmp_path / name
    if data.suffix == ".npy":
        np.save(data, pixels)
    else:
        np.savez(data, images=pixels, labels=np.arange(20) % 5)
    with pytest.raises(UsageError, match="how pixels become"):
        start(tflite, data=data)
    assert written(tflite, tmp_path, data=data, normalize="unit").preprocess.kind == "image"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere", "no file or folder"),
        (lambda folder: write_photos(folder, count=1), "photos has no image for eval"),
        (lambda folder: write_arrays(folder, rows=1), "too few to give eval any"),
        (lambda folder: _broken(folder), "cannot be read|not an image|broken|damaged"),
    ],
)
def test_data_that_does_not_fit_is_said_before_a_recipe_is_made(
    tflite: Path, tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    data = make(tmp_path)
    normalize = None if data.suffix == ".npz" else "unit"
    with pytest.raises(DataError, match=said):
        start(tflite, data=data, normalize=normalize)


def _broken(folder: Path) -> Path:
    for file in write_photos(folder, count=4).iterdir():
        file.write_bytes(file.read_bytes()[:40])
    return folder / "photos"


def test_a_folder_named_like_shipped_data_is_the_folder(tflite: Path, tmp_path: Path) -> None:
    write_photos(tmp_path).rename(tmp_path / "imagenet_photos")
    recipe = written(tflite, tmp_path, data=tmp_path / "imagenet_photos", normalize="unit")
    assert recipe.calibration.dataset == str(tmp_path / "imagenet_photos")


# The normalisation is never guessed -------------------------------------------------------------


def test_the_normalisation_is_asked_for_where_somebody_answers(tflite: Path) -> None:
    with pytest.raises(UsageError, match="how pixels become") as caught:
        start(tflite)
    assert "--normalize imagenet, unit, signed or raw" in (caught.value.hint or "")
    asked: list[bool] = []

    def ask() -> str:
        asked.append(True)
        return "raw"

    started = starter_recipe(tflite, Choices(), ask=ask)
    assert asked == [True]
    assert started.recipe.preprocess.divisor == 1
    starter_recipe(tflite, Choices(normalize="unit"), ask=ask)
    assert asked == [True]


@pytest.mark.parametrize("name", NAMES)
def test_each_normalisation_means_what_its_help_says(tflite: Path, name: str) -> None:
    preprocess = start(tflite, normalize=name).recipe.preprocess
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    made = (np.array([[0.0], [255.0]]) / preprocess.divisor - mean) / std
    expected = {
        "imagenet": [[-2.1179, -2.0357, -1.8044], [2.2489, 2.4286, 2.6400]],
        "unit": [[0], [1]],
        "signed": [[-1], [1]],
        "raw": [[0], [255]],
    }[name]
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_the_names_are_the_command_lines() -> None:
    assert tuple(NORMALIZATIONS) == NAMES


def test_bare_pixels_need_no_normalisation(tmp_path: Path) -> None:
    graph = models.Graph()
    x = graph.tensor("x", (1, 4, 4, 3), "uint8")
    y = graph.tensor("y", (1, 4, 4, 3))
    graph.operator("CAST", [x], [y], table="CastOptions")
    graph.inputs, graph.outputs = {"x": x}, {"y": y}
    model = write_model(tmp_path, models.write([graph], {"serving_default": 0}))
    assert start(model).recipe.preprocess.divisor == 1
    with pytest.raises(UsageError, match="input x is uint8"):
        start(model, normalize="unit")


# What is refused --------------------------------------------------------------------------------


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="quantized already"):
        start(write_model(tmp_path, models.int8_model()), normalize="unit")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello, this is no model", "no model format"),
        (b"", "no model format"),
        (models.corrupt_model(), "is damaged"),
        (b"\0\0\0\0TFL3" + bytes(40), "is damaged"),
        (b"PK\3\4", "no model format"),
    ],
)
def test_garbage_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        start(write_model(tmp_path, content), normalize="unit")
    assert "net.tflite" in caught.value.message


def test_a_checkpoint_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "best.pth")
    for name, said in (
        ("best.pth", "checkpoint"),
        ("missing.pt2", "cannot read the model file .*missing.pt2: No such file"),
        (".", "is no SavedModel: it holds no saved_model.pb"),
    ):
        with pytest.raises(SourceError, match=said):
            start(tmp_path / name, normalize="unit")


def test_facts_that_the_file_records_are_not_taken_from_options(
    tflite: Path, tmp_path: Path
) -> None:
    program = export(Net(), (1, 3, 16, 16), file=tmp_path / "net.pt2")
    for model, choices in (
        (tflite, {"input_shape": (1, 8, 8, 3)}),
        (tflite, {"layout": "NCHW"}),
        (program, {"input_shape": (1, 3, 8, 8)}),
    ):
        with pytest.raises(SourceError, match="records this itself"):
            start(model, normalize="unit", **choices)


def test_a_batch_that_no_recipe_fits(tmp_path: Path) -> None:
    model = export(Net(), (4, 3, 16, 16), file=tmp_path / "net.pt2")
    with pytest.raises(SourceError, match="a batch of 4") as caught:
        start(model, normalize="unit")
    assert "net.pt2" in caught.value.message
    assert ".yaml" not in str(caught.value)  # there is no such file


def test_wrong_overrides_are_the_users(tflite: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set gate\.sqnr=1"):
        starter_recipe(tflite, Choices(normalize="unit"), ["gate.sqnr=1"])
    made = starter_recipe(tflite, Choices(normalize="unit"), ["calibration.samples=7"])
    assert made.recipe.calibration.samples == 7


# Text -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape"), [("1,3,224,224", (1, 3, 224, 224)), (" 1x10 ", (1, 10)), ("7", (7,))]
)
def test_shapes(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == shape


@given(st.text(max_size=12))
def test_a_shape_is_numbers_or_an_error(text: str) -> None:
    try:
        shape = parse_shape(text)
    except UsageError:
        assert not re.fullmatch(r"[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*", text)
    else:
        assert shape
        assert all(size > 0 for size in shape)


@given(st.text(min_size=1, max_size=200))
def test_any_file_name_gives_a_name_for_a_recipe(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]{1,90}", recipe_name(Path("folder") / f"_{text}"))


@pytest.mark.parametrize("name", ["a b", "it's", 'sa"id', "tr\\ue", "#1", "true", "{x}", "ü", "-"])
def test_odd_names_of_files_and_tensors_read_back(tmp_path: Path, name: str) -> None:
    graph = models.float_graph(models.weights())
    graph.inputs = {name: graph.inputs["x"]}
    home = tmp_path / name
    home.mkdir()
    model = home / f"{name}.tflite"
    model.write_bytes(models.write([graph], {"serving_default": 0}))
    recipe = written(model, home, normalize="unit", data=write_photos(home))
    assert recipe.model.inputs[0].name == name
    assert recipe.model.file == f"file:{model}"


# What a .tflite file says of itself --------------------------------------------------------------


def described_model(folder: Path, *, labels: int = 5, **changes: Any) -> Path:
    image = TensorMetadata(normalization=Normalization((123.675, 0.0, 1.0), (58.395, 1.0, 255.0)))
    names = tuple(f"kind {number}" for number in range(labels))
    said = ModelMetadata(
        inputs=(replace(image, **changes),), outputs=(TensorMetadata(labels=names),)
    )
    return write_model(folder, with_metadata(models.float_model(), said))


def test_metadata_answers_for_the_user(tmp_path: Path) -> None:
    model = described_model(tmp_path)
    recipe = written(model, tmp_path, data=write_photos(tmp_path))  # nobody is asked
    preprocess = recipe.preprocess
    assert (preprocess.divisor, preprocess.mean) == (1, (123.675, 0.0, 1.0))
    assert preprocess.std == (58.395, 1.0, 255.0)
    assert recipe.model.labels is not None
    labels = load_labels(recipe.model.labels, SilentProgress())
    assert labels.names == ("kind 0", "kind 1", "kind 2", "kind 3", "kind 4")
    said = start(model).assumptions
    assert (
        "pixels become (pixel - [123.675, 0.0, 1.0]) / [58.395, 1.0, 255.0], "
        "as the file's metadata says" in said
    )
    assert "class names are those of the file's metadata" in said


def test_the_users_choice_counts_more(tmp_path: Path) -> None:
    started = start(described_model(tmp_path), normalize="signed")
    assert started.recipe.preprocess.mean == (127.5,)
    assert any(
        line.startswith("as chosen; the file's metadata says") for line in started.assumptions
    )


def test_metadata_that_says_too_little(tmp_path: Path) -> None:
    model = described_model(tmp_path, labels=4, normalization=Normalization((1.0, 2.0), (1.0,)))
    with pytest.raises(UsageError, match="does not say how pixels become"):
        start(model)
    assert start(model, normalize="unit").recipe.model.labels is None
    plain = write_model(tmp_path)
    with pytest.raises(DataError, match=r"net\.tflite has no class names in its metadata"):
        load_labels(LabelsSpec(f"file:{plain}"), SilentProgress())
