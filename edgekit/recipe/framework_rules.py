"""Which keys of the model go with which framework. Pure: no file is looked at."""

from __future__ import annotations

from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import ModelSpec, Recipe

CHANNELS_LAST = ("keras", "tensorflow", "tflite")
_PYTORCH_ONLY = {
    "trust_pickle": "is about checkpoints of PyTorch",
    "more_weights": "adds state dicts of PyTorch",
    "unused_weights": "names keys of a state dict of PyTorch",
}


def _a(framework: str) -> str:
    return f"{'an' if framework == 'onnx' else 'a'} {framework}"


def _keys_of_pytorch(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.framework == "pytorch":
        return
    for name, meaning in _PYTORCH_ONLY.items():
        told = name != "trust_pickle" and not model.weights  # by _more_than_the_weights
        if getattr(model, name) and not told:
            yield Finding(
                ("model", name),
                f"{meaning}; this is {_a(model.framework)} model",
                _instead(model, name),
            )


def _instead(model: ModelSpec, name: str) -> str:
    if name == "trust_pickle" and model.framework == "keras":
        return "remove it; for Lambda layers there is trust_lambda"
    return "remove it"


def _keys_of_keras(recipe: Recipe) -> Findings:
    model = recipe.model
    for name in ("custom_objects", "trust_lambda"):
        if not getattr(model, name):
            continue
        if model.framework != "keras":
            hint = f"remove it; {_a(model.framework)} model needs no such thing"
            yield Finding(("model", name), "is about files of Keras", hint)
        elif model.file is None:
            message = "is about loading a Keras file; a factory builds the model by itself"
            yield Finding(("model", name), message, "remove it")
    for index, text in enumerate(model.custom_objects):
        if ":" not in text:
            hint = "e.g. layers.py:MyLayer, the class's own name last"
            path = ("model", "custom_objects", index)
            yield Finding(path, "expected 'file.py:name' or 'package.module:name'", hint)


def _signature_of_a_file(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.signature is None:
        return
    path = ("model", "signature")
    if model.framework not in ("tensorflow", "tflite"):
        message = f"{_a(model.framework)} model has no signatures"
        yield Finding(path, message, "remove it; a SavedModel is framework: tensorflow")
    elif model.file is None:
        message = "chooses one function of a SavedModel; a factory returns one function"
        yield Finding(path, message, "remove it, or choose in the factory")


def _weights_of_a_factory(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.framework == "tensorflow" and model.factory is not None and model.weights:
        message = "a TensorFlow function comes with its variables"
        hint = "read them in the factory, or return a Keras model with framework: keras"
        yield Finding(("model", "weights"), message, hint)


def _channels_last(recipe: Recipe) -> Findings:
    framework = recipe.model.framework
    if framework not in CHANNELS_LAST:
        return
    article = "a .tflite" if framework == "tflite" else f"a {framework}"
    for index, item in enumerate(recipe.model.inputs):
        if item.layout == "NCHW" and len(item.shape) == 4:
            n, c, h, w = item.shape
            swapped = f", shape: [{n}, {h}, {w}, {c}]" if c in (1, 3) and w not in (1, 3) else ""
            yield Finding(
                ("model", "inputs", index, "layout"),
                f"{article} model is channels-last",
                f"write layout: NHWC{swapped}",
            )


def _onnx_is_a_file(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.framework == "onnx" and model.factory is not None:
        message = "an ONNX model is a file; no factory returns one"
        hint = "write model.file: file:model.onnx instead"
        yield Finding(("model", "factory"), message, hint)


FRAMEWORK_RULES: tuple[Rule, ...] = (
    _keys_of_pytorch,
    _keys_of_keras,
    _signature_of_a_file,
    _weights_of_a_factory,
    _channels_last,
    _onnx_is_a_file,
)
