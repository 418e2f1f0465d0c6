"""What Keras files and SavedModels say about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import SourceError
from edgekit.recipe import load_recipe
from edgekit.recipe.schema import InputSpec
from edgekit.sources.described import describe
from edgekit.sources.described_file import Described
from edgekit.starter import Choices, starter_recipe
from tests.tiny_runs import write_photos


@pytest.mark.parametrize("name", ["net.keras", "net3.h5", "net2.h5"])
def test_a_keras_file(keras_models: Path, name: str) -> None:
    assert describe(keras_models / name) == Described(
        framework="keras",
        inputs=(InputSpec("image", (1, 8, 8, 3), "float32", "NHWC"),),
        outputs=("scores", "box"),
        output_shapes=((1, 5), (1, 4)),
        guesses=("input image [1, 8, 8, 3] is NHWC, as keras models are",),
    )


def test_a_signature_of_a_saved_model(keras_models: Path) -> None:
    found = describe(keras_models / "one", signature="only")
    assert (found.framework, found.signature) == ("tensorflow", "only")
    assert found.inputs == (InputSpec("x", (1, 3), "float32", "any"),)
    assert (found.outputs, found.output_shapes) == (("y",), ((1, 2),))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("saved", {"signature": "two"}, ("more leaves sizes open: [?, ?, 2]", "--input-shape")),
        ("saved", {"signature": "text"}, ("input 'words' of saved is string",)),
        ("saved", {}, ("no 'serving_default'", "two: more")),
        ("one", {"input_shape": (1, 4)}, ("x is [1, 3], which --input-shape 1,4",)),
        ("two.keras", {"input_shape": (1, 3)}, ("has 2 inputs",)),
        ("net.keras", {"layout": "NCHW"}, ("channels-last", "--layout")),
        ("net.keras", {"signature": "x"}, ("no SavedModel", "--signature")),
        (
            "whole.keras",
            {},
            ("the class or function Whole", "[model.py:Whole]", "recipes show fer_int8 >"),
        ),
        (
            "lambda2.h5",
            {},
            ("Lambda in inner/square", "trust_lambda: true", "recipes show fer_int8 >"),
        ),
    ],
)
def test_what_is_refused(
    keras_models: Path, name: str, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError) as caught:
        describe(keras_models / name, **options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_open_sizes_are_given(keras_models: Path, tmp_path: Path) -> None:
    from edgekit.sources.keras import require_keras

    keras = require_keras("keras")
    image = keras.Input((None, None, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(image))
    keras.Model(image, keras.layers.Dense(2, name="out")(pooled)).save(tmp_path / "open.keras")
    with pytest.raises(SourceError, match="leaves sizes open"):
        describe(tmp_path / "open.keras")
    found = describe(tmp_path / "open.keras", input_shape=(1, 16, 24, 1))
    assert found.inputs == (InputSpec("image", (1, 16, 24, 1), "float32", "NHWC"),)
    assert found.output_shapes == ((1, 2),)


@pytest.mark.parametrize("name", ["net2.h5", "net.keras"])
def test_the_recipe_that_is_written_reads_back(
    keras_models: Path, tmp_path: Path, name: str
) -> None:
    photos = write_photos(tmp_path, classes=5)
    choices = Choices(data=photos, normalize="unit")
    started = starter_recipe(keras_models / name, choices, folder=tmp_path)
    file = tmp_path / "starter.yaml"
    file.write_text(started.text, encoding="utf-8")
    recipe = load_recipe(str(file))
    assert recipe == started.recipe
    assert recipe.model.framework == "keras"
    assert recipe.quantize.method == "auto"
