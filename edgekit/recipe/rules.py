"""What must hold between the keys of a recipe. Pure: no file is looked at.

Each rule yields findings. It runs on a draft, in which asking for a key that already has a
problem ends the rule: one mistake is told once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from edgekit.recipe.bind import Draft, Problems, Unsound
from edgekit.recipe.schema import InputSpec, PreprocessSpec, Recipe
from edgekit.recipe.yaml_source import KeyPath


class Finding(NamedTuple):
    """One broken rule, at the key that a person would change."""

    path: KeyPath
    message: str
    hint: str | None = None


Findings = Iterator[Finding]
Rule = Callable[[Recipe], Findings]


def check(rules: tuple[Rule, ...], draft: Draft, problems: Problems) -> None:
    """Run ``rules`` on what is sound of ``draft``."""
    recipe = cast(Recipe, draft)
    for rule in rules:
        try:
            for finding in rule(recipe):
                problems.add(*finding)
        except Unsound:
            continue


def _name_is_a_folder_name(recipe: Recipe) -> Findings:
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", recipe.name) is None:
        yield Finding(
            ("name",),
            f"{recipe.name!r} cannot name a folder",
            "use letters, digits, '_', '-' and '.'",
        )


def _factory_or_file(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.factory is not None and model.file is not None:
        yield Finding(("model", "file"), "a model has a 'factory' or a 'file', not both")
    if model.factory is None and model.file is None:
        yield Finding(("model",), "a model needs a 'factory' or a 'file'")


def _more_than_the_weights(recipe: Recipe) -> Findings:
    model = recipe.model
    for name in ("more_weights", "unused_weights"):
        if getattr(model, name) and not model.weights:
            yield Finding(("model", name), "goes with 'weights', which are not given")


def _factory_needs(recipe: Recipe) -> Findings:
    model = recipe.model
    if model.factory is not None:
        if model.framework == "tflite":
            hint = "give the .tflite as 'file', or framework: pytorch"
            yield Finding(("model", "factory"), "a tflite model is a file, it has no factory", hint)
        if ":" not in model.factory:
            hint = "e.g. my_package.models:make_model"
            yield Finding(("model", "factory"), "expected 'module:callable'", hint)
        return
    if model.file is None:
        return  # told by _factory_or_file
    if model.weights:
        hint = "a saved model in 'file' holds its own"
        yield Finding(("model", "weights"), "weights need a 'factory' to load them into", hint)
    if model.factory_args:
        yield Finding(("model", "factory_args"), "arguments without a 'factory'")
    if model.code:
        yield Finding(("model", "code"), "code without a 'factory' that is in it")


def _inputs_and_outputs(recipe: Recipe) -> Findings:
    model = recipe.model
    if not model.inputs:
        yield Finding(("model", "inputs"), "a model has at least one input")
    if not model.outputs:
        yield Finding(("model", "outputs"), "a model has at least one output")
    names = [item.name for item in model.inputs]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Finding(("model", "inputs", index, "name"), f"a second input named '{name}'")
    for index, name in enumerate(model.outputs):
        if name in model.outputs[:index]:
            yield Finding(("model", "outputs", index), f"a second output named '{name}'")


def _layouts(recipe: Recipe) -> Findings:
    for index, item in enumerate(recipe.model.inputs):
        path = ("model", "inputs", index, "layout")
        if item.layout != "any" and len(item.shape) != 4:
            yield Finding(path, f"{item.layout} has four axes, shape {_show(item.shape)} does not")


def _sha256_form(recipe: Recipe) -> Findings:
    for path, sha256 in _hashes(recipe):
        if sha256 is not None and re.fullmatch(r"[0-9a-fA-F]{64}", sha256) is None:
            yield Finding(
                path, "a sha256 is 64 digits, each 0-9 or a-f", "sha256sum FILE prints it"
            )


def _hashes(recipe: Recipe) -> Iterator[tuple[KeyPath, str | None]]:
    yield ("model", "sha256"), recipe.model.sha256
    for index, code in enumerate(recipe.model.code):
        yield ("model", "code", index, "sha256"), code.sha256
    for index, more in enumerate(recipe.model.more_weights):
        yield ("model", "more_weights", index, "sha256"), more.sha256
    if recipe.model.labels is not None:
        yield ("model", "labels", "sha256"), recipe.model.labels.sha256
    if recipe.preprocess.tokenizer is not None:
        yield ("preprocess", "tokenizer", "sha256"), recipe.preprocess.tokenizer.sha256


def _resize(recipe: Recipe) -> Findings:
    resize = recipe.preprocess.resize
    if resize is None:
        return
    path = ("preprocess", "resize")
    sides = [name for name in ("width", "height") if getattr(resize, name) is not None]
    if resize.shorter_side is not None and sides:
        message = f"'shorter_side' keeps the aspect, so no '{sides[0]}' beside it"
        yield Finding((*path, sides[0]), message)
    elif resize.shorter_side is None and len(sides) == 1:
        yield Finding(path, "'width' and 'height' go together")
    elif resize.shorter_side is None and not sides:
        yield Finding(path, "give 'shorter_side', or 'width' and 'height'")


def _crop_fits(recipe: Recipe) -> Findings:
    resize, crop = recipe.preprocess.resize, recipe.preprocess.crop
    if resize is None or crop is None:
        return
    for side in ("width", "height"):
        room = resize.shorter_side or getattr(resize, side)
        wanted = getattr(crop, side)
        if room is not None and wanted > room:
            message = f"a crop of {wanted} pixels from a resized image of {room}"
            yield Finding(("preprocess", "crop", side), message, "crop less or resize to more")


def _shorter_side_needs_a_crop(recipe: Recipe) -> Findings:
    preprocess = recipe.preprocess
    if preprocess.crop is None and preprocess.resize and preprocess.resize.shorter_side is not None:
        yield Finding(
            ("preprocess", "resize", "shorter_side"),
            "leaves the longer side of each photo as it falls, and the model's input is fixed",
            "add a crop",
        )


def _channel_values(recipe: Recipe) -> Findings:
    preprocess = recipe.preprocess
    channels = _channels(preprocess)
    for name in ("mean", "std"):
        count = len(getattr(preprocess, name))
        if count not in (1, channels):
            message = f"{count} values for the {channels} channels of {preprocess.colour}"
            yield Finding(("preprocess", name), message, "give one for all, or one a channel")


def _images_fit_the_input(recipe: Recipe) -> Findings:
    preprocess, model = recipe.preprocess, recipe.model
    if preprocess.kind != "image" or not model.inputs:
        return
    if len(model.inputs) > 1:
        message = f"one image cannot feed {len(model.inputs)} inputs"
        yield Finding(("preprocess", "kind"), message, "use kind: arrays with .npz data")
        return
    (target,) = model.inputs
    path = ("model", "inputs", 0)
    if target.layout == "any" and (model.framework == "pytorch" or len(target.shape) != 4):
        message = f"does not say which axis of {_show(target.shape)} holds the colours"
        yield Finding((*path, "layout"), message, "an image input is layout: NCHW or NHWC")
        return
    if len(target.shape) != 4:
        return  # told by _layouts
    yield from _shapes_agree(preprocess, target)
    if target.dtype not in ("float32", "uint8"):
        yield Finding((*path, "dtype"), f"an image cannot be fed as {target.dtype}")
    if target.dtype == "uint8" and not _keeps_pixels(preprocess):
        message = "the model takes bare uint8 pixels, but divisor, mean and std make other numbers"
        yield Finding((*path, "dtype"), message)


def _shapes_agree(preprocess: PreprocessSpec, target: InputSpec) -> Findings:
    if target.layout == "NCHW":
        batch, channels, height, width = target.shape
    else:
        batch, height, width, channels = target.shape
    path: KeyPath = ("model", "inputs", 0, "shape")
    if batch != 1:
        yield Finding(path, f"a batch of {batch}; samples are fed one by one", "start it with 1")
    size = preprocess.crop
    if size is None and preprocess.resize is not None and preprocess.resize.width is not None:
        size = preprocess.resize  # type: ignore[assignment]
    if size is not None and (size.height, size.width) != (height, width):
        yield Finding(
            path,
            f"preprocess makes images of {size.height}x{size.width} (height x width), "
            f"input '{target.name}' takes {height}x{width}",
        )
    if channels != _channels(preprocess):
        yield Finding(
            path,
            f"preprocess makes {preprocess.colour} images of {_channels(preprocess)} channels, "
            f"input '{target.name}' takes {channels}",
        )


def _arrays_pass_untouched(recipe: Recipe) -> Findings:
    if recipe.preprocess.kind != "arrays":
        return
    untouched = PreprocessSpec(kind="arrays")
    for name in ("resize", "crop", "colour", "divisor", "mean", "std"):
        if getattr(recipe.preprocess, name) != getattr(untouched, name):
            message = "kind: arrays passes data through untouched"
            yield Finding(("preprocess", name), message, "remove this key, or use kind: image")


def _module_rules_say_something(recipe: Recipe) -> Findings:
    for index, rule in enumerate(recipe.quantize.modules):
        path: KeyPath = ("quantize", "modules", index)
        if rule.name is None and rule.type is None and rule.place is None:
            yield Finding(path, "names no modules", "give 'name', 'type' or 'place'")
        if rule.method is None and rule.weight_bits is None and rule.estimator is None:
            hint = "give 'method' (e.g. float, to leave them out), 'weight_bits' or 'estimator'"
            yield Finding(path, "does not say what is different for them", hint)
        if rule.method == "float" and rule.weight_bits is not None:
            yield Finding((*path, "weight_bits"), "float modules have no quantized weights")


def _channels(preprocess: PreprocessSpec) -> int:
    return 1 if preprocess.colour == "GRAY" else 3


def _keeps_pixels(preprocess: PreprocessSpec) -> bool:
    return preprocess.divisor == 1 and set(preprocess.mean) == {0} and set(preprocess.std) == {1}


def _show(shape: tuple[int, ...]) -> str:
    return str(list(shape))


RULES: tuple[Rule, ...] = (
    _name_is_a_folder_name,
    _factory_or_file,
    _factory_needs,
    _more_than_the_weights,
    _inputs_and_outputs,
    _layouts,
    _sha256_form,
    _resize,
    _crop_fits,
    _shorter_side_needs_a_crop,
    _channel_values,
    _images_fit_the_input,
    _arrays_pass_untouched,
    _module_rules_say_something,
)
