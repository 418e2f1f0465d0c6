"""The Keras net for Fashion-MNIST and its training, on a handful of made-up pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edgekit.cache import file_sha256
from edgekit.recipe import load_recipe
from edgekit.resources import shipped
from edgekit.sources.keras_file import read_keras_file
from edgekit.tensorflow.function import require_tensorflow
from edgekit.types import Role
from edgekit.zoo import train_fashion_keras
from edgekit.zoo.train_fashion_keras import Pictures, Plan, save, top1, train

SHIPPED = shipped("recipes") / "weights" / "fashion_mobilenet.keras"


def pictures(count: int = 60) -> Pictures:
    """A bright top or a bright bottom: two classes that any net learns."""
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).random((count, 28, 28, 1)).astype(np.float32)
    images[labels == 0, :14] += 2
    images[labels == 1, 14:] += 2
    return Pictures(images, labels)


@pytest.fixture(scope="module")
def keras() -> Any:
    require_tensorflow()
    import keras

    return keras


@pytest.fixture(scope="module")
def trained(keras: Any) -> tuple[Any, list[int]]:
    """A net, and the epochs that it told of."""
    told: list[int] = []
    plan = Plan(epochs=8, batch=20)
    net = train(plan, pictures(), seed=5, after_epoch=lambda epoch, net: told.append(epoch))
    return net, told


@pytest.mark.slow
def test_it_learns_and_tells_after_every_epoch(trained: tuple[Any, list[int]]) -> None:
    net, told = trained
    assert told == list(range(1, 9))
    # By the statistics of these pictures: 24 steps are too few for the moving ones to settle.
    answers = np.asarray(net(pictures().images, training=True)).argmax(1)
    assert np.array_equal(answers, pictures().labels)


def test_the_net_that_is_saved_loads_as_it_was(
    keras: Any, trained: tuple[Any, list[int]], tmp_path: Path
) -> None:
    net, _ = trained
    save(net, tmp_path / "net.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]
    loaded = keras.models.load_model(tmp_path / "net.keras")
    images = pictures(4).images
    assert np.array_equal(np.asarray(loaded(images)), np.asarray(net(images)))
    assert not loaded.compiled  # the moments of an optimizer would double the file


def test_top1_is_the_share_of_right_answers_over_all_batches() -> None:
    images = np.zeros((1200, 3), np.float32)
    images[:, 1] = 1
    labels = np.array([1, 1, 1, 2] * 300)
    assert top1(lambda x, training: x, Pictures(images, labels)) == 0.75


def test_the_shipped_net_is_what_the_recipe_says_and_what_the_code_builds(keras: Any) -> None:
    from edgekit.zoo.fashion_mobilenet import fashion_mobilenet

    recipe = load_recipe("fashion_int8")
    assert file_sha256(SHIPPED) == recipe.model.sha256
    assert SHIPPED.stat().st_size < 1_500_000
    assert read_keras_file(SHIPPED).library == "keras"
    net, built = keras.models.load_model(SHIPPED), fashion_mobilenet()
    assert [(w.path, tuple(w.shape)) for w in net.weights] == [
        (w.path, tuple(w.shape)) for w in built.weights
    ]
    assert net.count_params() == 100_586
    assert [layer.get_config() for layer in net.layers] == [
        layer.get_config() for layer in built.layers
    ]


def test_the_recipe_prepares_pictures_as_the_training_did() -> None:
    recipe = load_recipe("fashion_int8")
    assert recipe.preprocess == train_fashion_keras.PREPROCESS
    assert recipe.model.inputs == (train_fashion_keras.INPUT,)
    assert recipe.calibration.dataset == recipe.evaluate.dataset == train_fashion_keras.DATASET


def test_the_command_learns_from_calibration_and_opens_eval_last(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Role] = []
    learned: list[int] = []

    def opening(role: Role) -> Pictures:
        opened.append(role)
        return pictures(20 if role is Role.CALIBRATION else 10)

    def learning(plan: Plan, data: Pictures, **options: object) -> Any:
        learned.append(len(data.labels))
        inputs = keras.layers.Input((28, 28, 1))
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))

    monkeypatch.setattr(train_fashion_keras, "load_pictures", opening)
    monkeypatch.setattr(train_fashion_keras, "train", learning)
    out = tmp_path / "net.keras"
    result = CliRunner().invoke(train_fashion_keras.main, ["--out", str(out)])
    assert result.exit_code == 0, result.output
    assert opened == [Role.DEV, Role.CALIBRATION, Role.EVAL]
    assert learned == [20]
    assert out.is_file()
    assert "eval top-1 0.5" in result.output
