"""What a run writes into its .tflite file about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import DataError, MismatchError
from edgekit.pipeline import quantize
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import PreprocessSpec, Recipe
from edgekit.runs.labels import Labels
from edgekit.runs.metadata import describe
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.kept import check_kept
from edgekit.tflite.metadata import (
    AudioContent,
    FeatureContent,
    ImageContent,
    ModelMetadata,
    TensorMetadata,
)
from edgekit.tflite.metadata_read import read_metadata
from edgekit.tflite.metadata_write import with_metadata
from tests import tflite_models as models
from tests.tiny_runs import IMAGES, write_arrays, write_model, write_photos, write_recipe

NAMES = ("a", "b", "c", "d", "e")
PER_CHANNEL = {"divisor": 255, "mean": [0.5, 0.25, 0.0], "std": [0.5, 0.25, 1.0]}


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_photos(tmp_path)
    write_arrays(tmp_path)


def recipe(home: Path, *changes: dict[str, Any]) -> Recipe:
    return load_recipe(str(write_recipe(home, IMAGES, *changes)))


def test_a_run_describes_its_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    labels = {"model": {"labels": {"source": "file:names.txt"}}, "summary": "five kinds of noise"}
    report = quantize(recipe(tmp_path, labels), out=tmp_path / "out")
    found = read_metadata(tmp_path / "out/model.tflite")
    assert found is not None
    assert (found.name, found.description) == ("tiny", "five kinds of noise")
    (image,), (scores,) = found.inputs, found.outputs
    assert image.name == "x"
    assert image.content == ImageContent("RGB", width=4, height=4)
    assert image.normalization is not None
    assert (image.normalization.mean, image.normalization.std) == ((127.5,), (127.5,))
    assert (scores.name, scores.content, scores.labels) == ("scores", FeatureContent(), NAMES)
    assert read_metadata(tmp_path / "out/model.float.tflite") is None  # as it came
    assert report.size.bytes == (tmp_path / "out/model.tflite").stat().st_size


def test_normalisation_is_said_in_pixels_and_its_ends_as_stored(tmp_path: Path) -> None:
    wanted = recipe(tmp_path, {"preprocess": {**IMAGES["preprocess"], **PER_CHANNEL}})
    (image,) = describe(parse_graph(models.float_model()), wanted, None).inputs
    assert image.normalization is not None
    pixels = np.array([[0.0] * 3, [255.0] * 3, [31, 77, 200]])
    said = (pixels - image.normalization.mean) / image.normalization.std
    done = (pixels / 255 - [0.5, 0.25, 0.0]) / [0.5, 0.25, 1.0]
    np.testing.assert_allclose(said, done)
    assert (image.minimum, image.maximum) == ((-1.0, -1.0, 0.0), (1.0, 3.0, 1.0))
    (stored,) = describe(parse_graph(models.int8_model()), wanted, None).inputs  # scale 2 / 255
    assert stored.normalization == image.normalization
    assert (stored.minimum, stored.maximum) == ((-127.0, -127.0, 0.0), (127.0,))


def test_one_mean_and_three_stds_are_three_of_both(tmp_path: Path) -> None:
    """Readers take lists of one length."""
    preprocess = {**IMAGES["preprocess"], "mean": [127.5], "std": [1, 2, 3], "divisor": 1}
    (image,) = describe(
        parse_graph(models.float_model()), recipe(tmp_path, {"preprocess": preprocess}), None
    ).inputs
    assert image.normalization is not None
    assert image.normalization.mean == (127.5,) * 3


def test_bgr_has_no_name_in_the_schema(tmp_path: Path) -> None:
    wanted = recipe(tmp_path, {"preprocess": {**IMAGES["preprocess"], "colour": "BGR"}})
    (image,) = describe(parse_graph(models.float_model()), wanted, None).inputs
    assert image.content == ImageContent("unknown", 4, 4)
    assert image.description == "the channels are blue, green, red"


def test_pixels_that_the_model_takes_as_they_are(tmp_path: Path) -> None:
    plain = {"kind": "image", "crop": {"width": 4, "height": 4}}
    x = {"name": "x", "shape": [1, 4, 4, 3], "layout": "NHWC", "dtype": "uint8"}
    wanted = recipe(tmp_path, {"preprocess": plain, "model": {"inputs": [x]}})
    (image,) = describe(parse_graph(models.float_model()), wanted, None).inputs
    assert (image.normalization, image.minimum, image.maximum) == (None, (0.0,), (255.0,))


def test_arrays_have_names_only(tmp_path: Path) -> None:
    wanted = load_recipe(str(write_recipe(tmp_path)))
    found = describe(parse_graph(models.float_model()), wanted, None)
    assert found.inputs == (TensorMetadata("x"),)


def test_sound_has_its_rate(tmp_path: Path) -> None:
    wanted = load_recipe(str(write_recipe(tmp_path)))
    sound = replace(wanted, preprocess=PreprocessSpec(kind="audio", sample_rate_hz=22050))
    (described,) = describe(parse_graph(models.float_model()), sound, None).inputs
    assert described.content == AudioContent(22050, channels=1)


def test_texts_name_their_tokenizer(tmp_path: Path) -> None:
    text = {"kind": "text", "tokenizer": {"source": "file:mine/tokenizer.json"}}
    ids = {"name": "input_ids", "shape": [1, 8], "dtype": "int32"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/tokenizer.json").write_text("{}")
    wanted = load_recipe(
        str(write_recipe(tmp_path, {"preprocess": text, "model": {"inputs": [ids]}}))
    )
    graph = replace(parse_graph(models.float_model()), input_names=("input_ids",))
    (described,) = describe(graph, wanted, None).inputs
    assert described.description == "input_ids that the tokenizer in tokenizer.json gives"


def test_what_the_source_said_stands_where_the_recipe_is_silent(tmp_path: Path) -> None:
    origin = ModelMetadata(
        name="older",
        description="of old",
        author="she",
        license="MIT",
        version="7",
        inputs=(TensorMetadata("x", description="a square"),),
        outputs=(TensorMetadata("scores", description="logits", labels=NAMES),),
    )
    write_model(tmp_path, with_metadata(models.float_model(), origin))
    quantize(load_recipe(str(write_recipe(tmp_path))), out=tmp_path / "out")
    found = read_metadata(tmp_path / "out/model.tflite")
    assert found is not None
    assert (found.name, found.description) == ("tiny", "of old")
    assert (found.author, found.license, found.version) == ("she", "MIT", "7")
    assert found.inputs[0].description == "a square"
    assert (found.outputs[0].description, found.outputs[0].labels) == ("logits", NAMES)


def test_labels_of_another_number(tmp_path: Path) -> None:
    labels = Labels(tmp_path / "names.txt", NAMES[:4])
    with pytest.raises(DataError, match="4 labels for a model with 5 classes"):
        describe(parse_graph(models.float_model()), recipe(tmp_path), labels)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ({"inputs": ("y",)}, "keep the model's inputs: it has x instead of y"),
        ({"outputs": ("scores", "more")}, "outputs: it has scores instead of scores, more"),
        ({"signature": "classify"}, "signature: it has serving_default instead of classify"),
    ],
)
def test_names_that_were_lost(lost: dict[str, Any], message: str) -> None:
    graph = parse_graph(models.int8_model())
    kept = {"inputs": ("x",), "outputs": ("scores",), "signature": "serving_default"}
    check_kept(graph, **kept)
    check_kept(graph, **{**kept, "signature": None})
    with pytest.raises(MismatchError, match=message):
        check_kept(graph, **{**kept, **lost})
