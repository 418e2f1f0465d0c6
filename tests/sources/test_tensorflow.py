"""SavedModels and functions as sources: signatures by name, inputs that cannot be fed, damage."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import IntegrityError, SourceError
from edgekit.fetch import tree_sha256
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.types import ModelKind

X = InputSpec("x", (1, 3))
MORE = InputSpec("more", (1, 4, 2))
FEED = {"x": np.array([[1, 0, 0]], np.float32)}


def spec(folder: Path, inputs: tuple[InputSpec, ...] = (X,), **other: Any) -> ModelSpec:
    return ModelSpec(framework="tensorflow", file=str(folder), inputs=inputs, **other)


def made(code: str, inputs: tuple[InputSpec, ...] = (X,), **other: Any) -> ModelSpec:
    return ModelSpec(framework="tensorflow", factory=code, inputs=inputs, **other)


def refused(wanted: ModelSpec, *words: str) -> None:
    def attempt() -> None:
        _ = locate(wanted).value

    with pytest.raises(SourceError) as caught:
        attempt()
    text = str(caught.value)
    assert all(word in text for word in words), text


def test_a_signature_with_two_inputs_and_two_outputs(keras_models: Path) -> None:
    wanted = spec(keras_models / "saved", (X, MORE), outputs=("sum", "scores"), signature="two")
    source = locate(wanted)
    assert source.kind is ModelKind.SAVED_MODEL
    assert source.value.signature == "two"
    assert source.size_bytes > 1000
    with source.open_session(threads=1) as session:
        assert session.info.max_batch == 16
        answers = session.run(
            {"x": np.eye(3, dtype=np.float32), "more": np.ones((3, 4, 2), np.float32)}
        )
    assert list(answers) == ["sum", "scores"]
    np.testing.assert_array_equal(answers["sum"], [8, 8, 8])
    np.testing.assert_array_equal(answers["scores"], [[1, 2], [3, 4], [5, 6]])


def test_the_only_signature_is_taken_and_its_batch_kept(keras_models: Path) -> None:
    source = locate(spec(keras_models / "one", outputs=("y",)))
    assert source.value.signature == "only"
    with source.open_session(threads=1) as session:
        assert session.info.max_batch == 1
        assert session.run(FEED)["y"].tolist() == [[1, 2]]


def test_a_saved_model_of_tensorflow_1(keras_models: Path) -> None:
    with locate(spec(keras_models / "old", outputs=("y",))).open_session(threads=1) as session:
        assert session.run(FEED)["y"].tolist() == [[1]]


def test_signatures_are_listed_with_their_ends(keras_models: Path) -> None:
    listed = (
        "text: words string [?] -> length int32 [?]",
        "two: more float32 [?, ?, 2], x float32 [?, 3] -> scores float32 [?, 2], sum float32 [?]",
    )
    saved = keras_models / "saved"
    refused(spec(saved), "no 'serving_default'", *listed, "model.signature")
    refused(spec(saved, signature="too"), "no signature 'too'", *listed)
    refused(spec(keras_models / "bare"), "has no signatures", "signatures=")


def test_inputs_that_cannot_be_fed(keras_models: Path) -> None:
    words = InputSpec("words", (1,))
    wanted = spec(keras_models / "saved", (words,), outputs=("length",), signature="text")
    refused(wanted, "input 'words' of saved (text) is string", "float32, int32, int64, uint8")
    refused(made(f"{keras_models / 'functions.py'}:ragged"), "is ragged float32")


def test_the_recipe_and_the_signature_disagree(keras_models: Path) -> None:
    saved, two = keras_models / "saved", {"signature": "two", "outputs": ("sum", "scores")}
    refused(spec(saved, (X,), **two), "x float32 [1, 3]", "more float32 [?, ?, 2]; x float32")
    wrong = InputSpec("more", (1, 4, 3))
    refused(spec(saved, (X, wrong), **two), "more float32 [1, 4, 3]", "more float32 [?, ?, 2]")
    refused(spec(saved, (X, MORE), signature="two"), "says output", "has scores, sum")


@pytest.mark.parametrize("name", ["method", "pair"])
def test_a_function_from_a_factory(keras_models: Path, name: str) -> None:
    source = locate(made(f"{keras_models / 'functions.py'}:{name}", outputs=("scores",)))
    assert source.kind is ModelKind.CONCRETE_FUNCTION
    with source.open_session(threads=1) as session:
        assert session.run(FEED)["scores"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("untyped", ("tf.function without input_signature", "tf.TensorSpec")),
        ("number", ("made a int, no TensorFlow function",)),
        ("gone", ("are gone", "return (function, object)")),
        ("gone_before", ("cannot be traced", "return (function, object)")),
    ],
)
def test_factories_that_make_something_else(
    keras_models: Path, name: str, words: tuple[str, ...]
) -> None:
    refused(made(f"{keras_models / 'functions.py'}:{name}"), *words)


def test_outputs_of_a_factory_are_counted(keras_models: Path) -> None:
    wanted = made(f"{keras_models / 'functions.py'}:pair", outputs=("a", "b"))
    refused(wanted, "returns 1 outputs, but 2 are named (a, b)")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no graph", ("is no SavedModel", "saved_model.pb")),
        ("cut graph", ("cannot load",)),
        ("no variables", ("cannot load", "copy the whole folder")),
        ("cut variables", ("cannot load", "copy the whole folder again")),
    ],
)
def test_damaged_folders(
    keras_models: Path, tmp_path: Path, damage: str, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "saved"
    shutil.copytree(keras_models / "one", folder)
    graph = folder / "saved_model.pb"
    if damage == "no graph":
        graph.unlink()
    elif damage == "cut graph":
        graph.write_bytes(graph.read_bytes()[:-70])
    elif damage == "no variables":
        shutil.rmtree(folder / "variables")
    else:
        for file in (folder / "variables").iterdir():
            file.write_bytes(file.read_bytes()[:10])
    refused(spec(folder, outputs=("y",)), *words)


def test_files_are_told_apart_from_folders(keras_models: Path, tmp_path: Path) -> None:
    refused(spec(keras_models / "net.keras"), "is a file", "framework: keras")
    for name, words in {"a.tflite": "framework: tflite", "a.pb": "tf.saved_model.save"}.items():
        (tmp_path / name).write_bytes(b"")
        refused(spec(tmp_path / name), "a SavedModel is a folder", words)


def test_the_folder_is_the_promised_one(keras_models: Path) -> None:
    one = keras_models / "one"
    kept = locate(spec(one, outputs=("y",), sha256=tree_sha256(one)))
    assert kept.fingerprint == locate(spec(one, outputs=("y",))).fingerprint
    assert kept.fingerprint != locate(spec(one, signature="only")).fingerprint
    with pytest.raises(IntegrityError, match=tree_sha256(one)):
        locate(spec(one, sha256="0" * 64))
