"""Keras sources: library by what the file says, code in it refused, names and shapes checked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgekit.errors import IntegrityError, SourceError, UsageError
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.sources import locate
from edgekit.sources.keras import require_keras
from edgekit.sources.keras_file import KerasFile, lambda_layers, read_keras_file
from edgekit.types import ModelKind

IMAGE = InputSpec("image", (1, 8, 8, 3), "float32", "NHWC")
X = InputSpec("x", (1, 3))
HEADS = ("scores", "box")


def spec(file: Path | str, inputs: tuple[InputSpec, ...] = (X,), **other: Any) -> ModelSpec:
    return ModelSpec(framework="keras", file=str(file), inputs=inputs, **other)


def made(code: Path | str, inputs: tuple[InputSpec, ...] = (X,), **other: Any) -> ModelSpec:
    return ModelSpec(framework="keras", factory=str(code), inputs=inputs, **other)


def refused(wanted: ModelSpec, *words: str, load: bool = True) -> None:
    """Says ``words``; where not ``load``, before any framework is."""

    def attempt() -> None:
        source = locate(wanted)
        assert load
        _ = source.value

    with pytest.raises(SourceError) as caught:
        attempt()
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["net.keras", "net3.h5", "net2.h5", "net2.keras"])
def test_every_form_answers_as_its_own_library(keras_models: Path, name: str) -> None:
    file = keras_models / name
    source = locate(spec(file, (IMAGE,), outputs=HEADS))
    assert source.kind is ModelKind.KERAS
    image = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    with source.open_session(threads=1) as session:
        assert session.info.runtime == "tensorflow"
        assert session.info.max_batch == 16
        answers = session.run({"image": image})
    library = require_keras("tf_keras" if "2" in name else "keras")
    expected = library.models.load_model(file, compile=False).predict(image, verbose=0)
    for head, array in zip(HEADS, expected, strict=True):
        np.testing.assert_allclose(answers[head], array, rtol=1e-5, atol=1e-6)


def test_the_library_is_what_the_file_says(keras_models: Path) -> None:
    said = {
        name: read_keras_file(keras_models / name).library
        for name in ("net.keras", "net3.h5", "net2.h5", "net2.keras")
    }
    assert list(said.values()) == ["keras", "keras", "tf_keras", "tf_keras"]
    assert KerasFile("h5", "1.2.2", {}).library == "tf_keras"


def test_locating_imports_no_framework(keras_models: Path, repository: Path) -> None:
    program = (
        "import sys; from edgekit.sources import locate;"
        "from edgekit.recipe.schema import InputSpec, ModelSpec;"
        "spec = lambda framework, file: ModelSpec("
        "    framework, (InputSpec('x', (1, 3)),), file=file);"
        "locate(spec('keras', 'net2.h5')); locate(spec('keras', 'net.keras'));"
        "locate(spec('tensorflow', 'saved'));"
        "print({'tensorflow', 'keras', 'tf_keras', 'torch'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(repository)!r}); {program}"],
        cwd=keras_models,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "set()\n", ran.stderr


def test_several_inputs_and_outputs_in_dicts(keras_models: Path) -> None:
    ends = (InputSpec("right", (1, 3)), InputSpec("left", (1, 2)))
    source = locate(spec(keras_models / "two.keras", ends, outputs=("total", "same")))
    right = np.arange(6, dtype=np.float32).reshape(2, 3)
    with source.open_session(threads=1) as session:
        answers = session.run({"left": np.ones((2, 2), np.float32), "right": right})
    assert list(answers) == ["total", "same"]
    np.testing.assert_array_equal(answers["same"], right)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lambda3.h5", "inner/square"),
        ("lambda2.h5", "inner/square"),
        ("wrapped3.keras", "over_time/add"),
        ("wrapped2.keras", "over_time/add"),
    ],
)
def test_a_lambda_is_refused_before_loading(keras_models: Path, name: str, layer: str) -> None:
    file = keras_models / name
    refused(spec(file), f"Lambda in {layer}", "trust_lambda", load=False)
    outputs = ("inner",) if "lambda" in name else ("over_time",)
    trusted = locate(spec(file, outputs=outputs, trust_lambda=True))
    with trusted.open_session(threads=1) as session:
        (answer,) = session.run({"x": np.array([[1, 2, 3]], np.float32)}).values()
    expected = [1, 4, 9] if "lambda" in name else [2, 3, 4]
    np.testing.assert_allclose(answer.ravel(), expected)


def test_lambdas_hide_nowhere() -> None:
    hidden: Any = {"class_name": "__lambda__", "config": {"value": "code"}}
    cell = {"class_name": "ResidualWrapper", "config": {"name": "r", "residual_fn_type": "lambda"}}
    dense = {"class_name": "Dense", "config": {"name": "d", "activation": hidden}}
    public = {"class_name": "keras.layers>Lambda", "config": {"name": "l"}}
    config = {"class_name": "Sequential", "config": [dense, {"layers": [cell, public]}]}
    assert lambda_layers(config) == ["d", "r", "l"]
    deep: Any = hidden
    for _ in range(20_000):
        deep = [deep]
    assert lambda_layers({"config": deep}) == ["__lambda__"]


@pytest.mark.parametrize("name", ["3", "2"])
def test_classes_of_ones_own(keras_models: Path, name: str) -> None:
    file, code = keras_models / f"custom{name}.h5", keras_models / f"layers{name}.py"
    refused(spec(file), "class or function Doubled of layer 'twice'", "model.custom_objects")
    source = locate(spec(file, outputs=("twice",), custom_objects=(f"{code}:Doubled",)))
    with source.open_session(threads=1) as session:
        assert session.run({"x": np.ones((1, 3), np.float32)})["twice"].tolist() == [[2, 2, 2]]
    other = keras_models / f"layers{5 - int(name)}.py"
    refused(spec(file, custom_objects=(f"{other}:Doubled",)), "is a layer of", "read by", "import")


def test_a_subclassed_model_takes_the_recipes_names(keras_models: Path) -> None:
    custom = (f"{keras_models / 'layers3.py'}:Whole",)
    whole = keras_models / "whole.keras"
    source = locate(spec(whole, outputs=("y", "x"), custom_objects=custom))
    with source.open_session(threads=1) as session:
        assert {i.name: i.shape for i in session.info.outputs} == {"y": (1, 2), "x": (1, 3)}
    wrong = InputSpec("x", (1, 4))
    refused(spec(whole, (wrong,), custom_objects=custom), "does not take float32 [1, 4]")


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ((InputSpec("img", (1, 8, 8, 3)),), HEADS, ("img float32", "image float32 [?, 8, 8, 3]")),
        ((InputSpec("image", (1, 9, 8, 3)),), HEADS, ("[1, 9, 8, 3]", "[?, 8, 8, 3]")),
        ((InputSpec("image", (1, 8, 8)),), HEADS, ("[1, 8, 8]", "[?, 8, 8, 3]")),
        ((InputSpec("image", (1, 8, 8, 3), "uint8"),), HEADS, ("image uint8", "image float32")),
        ((IMAGE, X), HEADS, ("x float32 [1, 3]", "image float32 [?, 8, 8, 3]")),
        ((IMAGE,), ("scores",), ("model.outputs says scores", "has scores, box")),
        ((IMAGE,), ("scores", "boxes"), ("scores, boxes", "scores, box")),
    ],
)
def test_the_recipe_and_the_model_disagree(
    keras_models: Path, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...], words: Any
) -> None:
    refused(spec(keras_models / "net.keras", inputs, outputs=outputs), *words)


def test_a_factory_with_weights(keras_models: Path, tmp_path: Path) -> None:
    shutil.copy(keras_models / "layers3.py", tmp_path)
    (tmp_path / "nets.py").write_text(
        "import keras\nfrom tests.keras_models import image_net\n"
        "def build(): return image_net(keras)\n"
    )
    weights = keras_models / "net.weights.h5"
    source = locate(
        made(tmp_path / "nets.py:build", (IMAGE,), outputs=HEADS, weights=(str(weights),))
    )
    assert source.files == {"weights": weights}
    assert source.value.outputs == HEADS
    code = tmp_path / "layers3.py"
    refused(made(f"{code}:build", outputs=("dense",), weights=(str(weights),)), "does not fit")
    refused(made(f"{code}:no_model"), "made a int, no keras.Model")
    refused(made(f"{code}:build", factory_args={"built": False}), "it is not built yet")
    first, second = (
        locate(made(f"{code}:build", factory_args={"units": n})).fingerprint for n in (2, 3)
    )
    assert first != second


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", ["net.keras", "net2.h5", "net3.h5"])
def test_a_file_cut_short(keras_models: Path, tmp_path: Path, name: str, share: float) -> None:
    content = (keras_models / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    refused(spec(tmp_path / name, (IMAGE,), outputs=HEADS), name, "again")


@pytest.mark.parametrize("name", ["net.keras", "net2.h5", "net3.h5"])
def test_a_file_with_flipped_bytes_gives_an_error_or_answers(
    keras_models: Path, tmp_path: Path, name: str
) -> None:
    content = bytearray((keras_models / name).read_bytes())
    rng = np.random.default_rng(1)
    for round_ in range(6):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 40):
            damaged[place] ^= int(rng.integers(1, 256))
        file = tmp_path / f"{round_}{name}"
        file.write_bytes(damaged)
        with suppress(SourceError):  # and nothing else; flipped weights may well answer
            _ = locate(spec(file, (IMAGE,), outputs=HEADS)).value


def test_files_of_other_kinds(keras_models: Path, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no model")
    (tmp_path / "lite.keras").write_bytes(b"\0\0\0\0TFL3" + bytes(9))
    with zipfile.ZipFile(tmp_path / "zip.keras", "w") as archive:
        archive.writestr("data.pkl", b"")
    with h5py.File(tmp_path / "data.h5", "w") as data:
        data["numbers"] = [1, 2]
    shutil.copy(keras_models / "net2.h5", tmp_path / "renamed.keras")
    for name, words in {
        "text.h5": ("is no Keras file",),
        "lite.keras": ("framework: tflite",),
        "zip.keras": ("no .keras file",),
        "data.h5": ("no Keras model",),
        "renamed.keras": ("holds a .h5 file", "Rename"),
    }.items():
        refused(spec(tmp_path / name), *words, load=False)
    weights = keras_models / "net.weights.h5"
    refused(spec(weights), "weights without the network", "model.factory", load=False)
    refused(spec(keras_models / "saved"), "framework: tensorflow", load=False)
    refused(spec(keras_models / "nan.keras", (IMAGE,), outputs=HEADS), "NaN", "scores/kernel")
    with pytest.raises(IntegrityError):
        locate(spec(keras_models / "net.keras", sha256="0" * 64))


def test_a_version_of_tomorrow(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "new.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", '{"keras_version": "4.0.0"}')
    refused(spec(tmp_path / "new.keras"), "written by Keras 4.0.0", load=False)


def test_keras_on_another_backend(keras_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras = require_keras("keras")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(UsageError, match="Keras runs on torch") as caught:
        require_keras("keras")
    assert "KERAS_BACKEND=tensorflow" in str(caught.value.hint)


def test_the_fingerprint_covers_file_and_custom_code(keras_models: Path, tmp_path: Path) -> None:
    for name in ("custom3.h5", "layers3.py"):
        shutil.copy(keras_models / name, tmp_path)
    wanted = spec(tmp_path / "custom3.h5", custom_objects=(f"{tmp_path / 'layers3.py'}:Doubled",))
    before = locate(wanted).fingerprint
    assert locate(wanted).fingerprint == before
    with (tmp_path / "layers3.py").open("a") as code:
        code.write("# changed\n")
    after = locate(wanted).fingerprint
    shutil.copy(keras_models / "net3.h5", tmp_path / "custom3.h5")
    assert len({before, after, locate(wanted).fingerprint}) == 3
