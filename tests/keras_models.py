"""Tiny Keras models and SavedModels in every form a source can have, written in one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

LAYERS = """\
import {library} as keras


class Doubled(keras.layers.Layer):
    def call(self, x):
        return x * 2


class Whole(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return {{"y": self.dense(x), "x": x}}


def build(units=2, built=True):
    inputs = [keras.Input((3,), name="x")] if built else []
    return keras.Sequential([*inputs, keras.layers.Dense(units, name="dense")])


def no_model():
    return 3
"""
FUNCTIONS = """\
import tensorflow as tf


class Net(tf.Module):
    def __init__(self):
        self.weight = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    @tf.function(input_signature=[tf.TensorSpec((None, 3), name="x")])
    def scores(self, x):
        return x @ self.weight


def method():
    net = Net()
    return net.scores, net


def gone():
    net = Net()
    return net.scores.get_concrete_function()


def gone_before():
    return Net().scores


def pair():
    net = Net()
    return net.scores.get_concrete_function(), net


def untyped():
    return tf.function(lambda x: x)


def ragged():
    spec = tf.RaggedTensorSpec((None, None), tf.float32)
    return tf.function(lambda x: x.to_tensor(), input_signature=[spec])


def number():
    return 3
"""


def image_net(keras: Any) -> Any:
    """[?, 8, 8, 3] to five scores and a box."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    hidden = keras.layers.GlobalAveragePooling2D(name="pool")(hidden)
    heads = [
        keras.layers.Dense(5, name="scores")(hidden),
        keras.layers.Dense(4, name="box")(hidden),
    ]
    return keras.Model(image, heads)


def write_models(folder: Path) -> None:
    """Every file the tests of sources open; see the names below."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tf_keras

    from edgekit.sources.factory import locate_function

    image_net(keras).save(folder / "net.keras")
    image_net(keras).save(folder / "net3.h5")
    image_net(tf_keras).save(folder / "net2.h5")
    image_net(tf_keras).save(folder / "net2.keras")
    image_net(keras).save_weights(folder / "net.weights.h5")
    for library, name in ((keras, "3"), (tf_keras, "2")):
        code = f"layers{name}.py"
        (folder / code).write_text(LAYERS.format(library=library.__name__))
        doubled = locate_function(f"{code}:Doubled", folder, key="test").function()
        x = library.Input((3,), name="x")
        library.Model(x, doubled(name="twice")(x)).save(folder / f"custom{name}.h5")
        squared = library.layers.Lambda(lambda t: t * t, name="square")
        inner = library.Sequential([library.Input((3, 1)), squared], name="inner")
        reshaped = library.layers.Reshape((3, 1))(x)
        library.Model(x, inner(reshaped)).save(folder / f"lambda{name}.h5")
        wrapped = library.layers.TimeDistributed(
            library.layers.Lambda(lambda t: t + 1, name="add"), name="over_time"
        )
        library.Model(x, wrapped(reshaped)).save(folder / f"wrapped{name}.keras")
    _write_odd(folder, keras)
    _write_saved_model(folder)


def _write_odd(folder: Path, keras: Any) -> None:
    import numpy as np

    from edgekit.sources.factory import locate_function

    whole = locate_function("layers3.py:Whole", folder, key="test").function()()
    whole(np.zeros((1, 3), np.float32))
    whole.save(folder / "whole.keras")
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    summed = keras.layers.Dense(2, name="d")(left)
    keras.Model({"left": left, "right": right}, {"total": summed, "same": right * 1.0}).save(
        folder / "two.keras"
    )
    broken = image_net(keras)
    broken.get_layer("scores").set_weights([np.full((4, 5), np.nan), np.zeros(5)])
    broken.save(folder / "nan.keras")
    (folder / "functions.py").write_text(FUNCTIONS)


def _write_saved_model(folder: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    def two(x: Any, more: Any) -> dict[str, Any]:
        return {"scores": x @ module.weight, "sum": tf.reduce_sum(more, axis=[1, 2])}

    def text(words: Any) -> dict[str, Any]:
        return {"length": tf.strings.length(words)}

    def signature(function: Any, **specs: Any) -> Any:
        return tf.function(function).get_concrete_function(
            **{
                name: tf.TensorSpec(shape, dtype, name=name)
                for name, (shape, dtype) in specs.items()
            }
        )

    pair = signature(two, x=((None, 3), tf.float32), more=((None, None, 2), tf.float32))
    words = signature(text, words=((None,), tf.string))
    tf.saved_model.save(module, folder / "saved", signatures={"two": pair, "text": words})
    tf.saved_model.save(module, folder / "bare")
    fixed = signature(lambda x: {"y": x @ module.weight}, x=((1, 3), tf.float32))
    tf.saved_model.save(module, folder / "one", signatures={"only": fixed})
    with tf.compat.v1.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, (None, 3), name="x")
        weight = tf.compat.v1.get_variable("w", initializer=[[1.0], [2.0], [3.0]])
        y = tf.matmul(x, weight)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(folder / "old"), {"x": x}, {"y": y})
