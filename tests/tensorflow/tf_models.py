"""Small TensorFlow models with named ends, as sources hand them on, and jobs on them.

TensorFlow is imported by whoever calls; importing this module costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.cache import Cache
from edgekit.data.arrays import ArrayDataset, open_arrays
from edgekit.methods.method import Goal, QuantizeJob
from edgekit.progress import SilentProgress
from edgekit.recipe.schema import InputSpec, PreprocessSpec, QuantizeSpec
from edgekit.runtimes.tf_function import TFSession
from edgekit.sources.source import SourceModel
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.types import Array, ModelKind, Role, Sample, TensorInfo

IMAGE = InputSpec("image", (1, 12, 12, 3), "float32", "NHWC")
VECTOR = InputSpec("x", (1, 8), "float32")


def two_heads(seed: int = 0) -> TFModel:
    """A Keras net of convolutions with a batch norm, and two outputs: ``scores`` and ``box``."""
    require_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, name="stem")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6.0, name="clip")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    scores = layers.Dense(5, name="scores")(x)
    box = layers.Dense(4, activation="sigmoid", name="box")(x)
    net = keras.Model(image, {"scores": scores, "box": box})
    net.get_layer("norm").set_weights(
        [np.array(w) for w in ([1.5] * 8, [0.2] * 8, [0.1] * 8, [0.5] * 8)]
    )

    def call(image: Any) -> Any:
        return net(image, training=False)

    info = TensorInfo("image", (-1, 12, 12, 3), "float32")
    return TFModel(call, (info,), ("scores", "box"), net)


def function(
    call: Callable[..., Any], names: Sequence[str] = ("y",), *, holder: Any = None, **other: Any
) -> TFModel:
    """``call(x)`` on one vector; it answers with a mapping, or with the only one of ``names``."""

    def named(**feeds: Any) -> Any:
        answer = call(**feeds)
        return answer if isinstance(answer, dict) else {names[0]: answer}

    info = TensorInfo("x", (1, 8), "float32")
    return TFModel(named, (info,), tuple(names), holder, **other)


def weights(*shape: int, seed: int = 0) -> Any:
    """A constant of normal values."""
    tensorflow = require_tensorflow()
    return tensorflow.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def samples(*inputs: InputSpec, count: int = 6, seed: int = 1) -> list[Sample]:
    """Normal values for every input."""
    random = np.random.default_rng(seed)

    def feeds() -> dict[str, Array]:
        return {
            spec.name: random.normal(size=(1, *spec.shape[1:])).astype(spec.dtype)
            for spec in inputs
        }

    return [Sample(f"s{number}", f"s{number}", feeds()) for number in range(count)]


def source(
    model: TFModel, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...], kind: ModelKind
) -> SourceModel:
    """``model`` as it comes from a recipe."""
    return SourceModel(
        kind=kind,
        inputs=inputs,
        outputs=outputs,
        fingerprint=f"test {id(model)}",
        files={},
        loader=lambda: model,
        opener=lambda own, threads: TFSession(
            own.value, own.inputs, own.outputs, name="the model", threads=threads
        ),
    )


def job(
    model: TFModel,
    folder: Path,
    method: str,
    *,
    inputs: tuple[InputSpec, ...] = (IMAGE,),
    outputs: tuple[str, ...] = ("scores", "box"),
    **options: Any,
) -> QuantizeJob:
    """All a method is given for ``model``, with 10 random calibration samples."""
    (folder / "run").mkdir(parents=True)
    return QuantizeJob(
        model=source(model, inputs, outputs, ModelKind.KERAS),
        goal=Goal(outputs[0], classification=True),
        options=QuantizeSpec(method=method, **options),
        calibration=dataset(folder, inputs),
        open_dev=_unexpected,
        open_training=_unexpected,
        folder=folder / "run",
        cache=Cache(folder / "cache"),
        progress=SilentProgress(),
        threads=1,
    )


def dataset(folder: Path, inputs: tuple[InputSpec, ...], rows: int = 20) -> ArrayDataset:
    """Half of ``rows`` random rows, in the calibration role."""
    random = np.random.default_rng(0)
    arrays = {
        spec.name: random.normal(size=(rows, *spec.shape[1:])).astype(spec.dtype) for spec in inputs
    }
    np.savez(folder / "inputs.npz", **arrays)
    preprocess = PreprocessSpec(kind="arrays")
    return open_arrays(folder / "inputs.npz", Role.CALIBRATION, inputs, preprocess, None)


def _unexpected(*args: Any) -> ArrayDataset:
    raise AssertionError("this method chooses and learns nothing")
