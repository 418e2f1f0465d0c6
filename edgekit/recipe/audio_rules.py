"""What must hold between the keys of a recipe whose samples are recordings."""

from __future__ import annotations

from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import PreprocessSpec, Recipe


def _rate_goes_with_audio(recipe: Recipe) -> Findings:
    preprocess = recipe.preprocess
    if preprocess.kind == "audio" and preprocess.sample_rate_hz is None:
        message = "audio needs the 'sample_rate_hz' that the model was trained at"
        yield Finding(("preprocess", "kind"), message, "e.g. sample_rate_hz: 16000")
    if preprocess.kind != "audio" and preprocess.sample_rate_hz is not None:
        message = f"kind: {preprocess.kind} has no sample rate"
        yield Finding(("preprocess", "sample_rate_hz"), message, "write kind: audio")


def _recordings_have_no_pixels(recipe: Recipe) -> Findings:
    if recipe.preprocess.kind != "audio":
        return
    plain = PreprocessSpec()
    for name in ("resize", "crop", "colour", "divisor", "mean", "std"):
        if getattr(recipe.preprocess, name) != getattr(plain, name):
            message = "kind: audio has no pixels that this could change"
            yield Finding(("preprocess", name), message, "remove this key, or use kind: image")


def _input_takes_a_window(recipe: Recipe) -> Findings:
    inputs = recipe.model.inputs
    if recipe.preprocess.kind != "audio" or not inputs:
        return
    if len(inputs) > 1:
        message = f"one recording cannot feed {len(inputs)} inputs"
        yield Finding(("preprocess", "kind"), message, "use kind: arrays with .npz data")
        return
    shape, path = inputs[0].shape, ("model", "inputs", 0)
    one_channel = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    if not one_channel or shape[0] != 1:
        message = f"a window of sound is [1, length] or [1, length, 1], not {list(shape)}"
        yield Finding((*path, "shape"), message)
    if inputs[0].dtype != "float32":
        message = f"sound is not fed as {inputs[0].dtype}"
        yield Finding((*path, "dtype"), message, "write dtype: float32")


AUDIO_RULES: tuple[Rule, ...] = (
    _rate_goes_with_audio,
    _recordings_have_no_pixels,
    _input_takes_a_window,
)
"""As ``rules.RULES``."""
