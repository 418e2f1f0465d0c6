"""What must hold between the keys of a recipe whose samples are texts."""

from __future__ import annotations

from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import PreprocessSpec, Recipe

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a tokenizer gives; a model takes ``input_ids`` and any of the others, by these names."""


def _tokenizer_goes_with_text(recipe: Recipe) -> Findings:
    preprocess = recipe.preprocess
    if preprocess.kind == "text" and preprocess.tokenizer is None:
        hint = "tokenizer: {source: tokenizer.json}"
        yield Finding(("preprocess", "kind"), "text needs a 'tokenizer' beside it", hint)
    if preprocess.kind != "text" and preprocess.tokenizer is not None:
        message = f"kind: {preprocess.kind} has no use for a tokenizer"
        yield Finding(("preprocess", "tokenizer"), message, "write kind: text")


def _texts_have_no_pixels(recipe: Recipe) -> Findings:
    if recipe.preprocess.kind != "text":
        return
    plain = PreprocessSpec()
    for name in ("resize", "crop", "colour", "divisor", "mean", "std"):
        if getattr(recipe.preprocess, name) != getattr(plain, name):
            message = "kind: text has no pixels that this could change"
            yield Finding(("preprocess", name), message, "remove this key, or use kind: image")


def _inputs_take_tokens(recipe: Recipe) -> Findings:
    if recipe.preprocess.kind != "text":
        return
    for index, item in enumerate(recipe.model.inputs):
        path = ("model", "inputs", index)
        if item.name not in TEXT_INPUTS:
            message = f"a tokenizer gives no '{item.name}'"
            yield Finding((*path, "name"), message, f"it gives {', '.join(TEXT_INPUTS)}")
        if len(item.shape) != 2 or item.shape[0] != 1:
            message = f"token ids are [1, length], not {list(item.shape)}"
            yield Finding((*path, "shape"), message)
        elif item.shape != recipe.model.inputs[0].shape:
            first = list(recipe.model.inputs[0].shape)
            message = f"the inputs of one text differ: {list(item.shape)} and {first}"
            yield Finding((*path, "shape"), message)
        if item.dtype not in ("int32", "int64"):
            message = f"token ids are not fed as {item.dtype}"
            yield Finding((*path, "dtype"), message, "write dtype: int64 (or int32)")
    if recipe.model.inputs and all(item.name != "input_ids" for item in recipe.model.inputs):
        hint = "name the input that takes the token ids input_ids"
        yield Finding(("model", "inputs"), "a model of texts takes 'input_ids'", hint)


def _max_length_fits(recipe: Recipe) -> Findings:
    tokenizer, inputs = recipe.preprocess.tokenizer, recipe.model.inputs
    if tokenizer is None or tokenizer.max_length is None or not inputs:
        return
    length = inputs[0].shape[-1]
    if tokenizer.max_length > length:
        yield Finding(
            ("preprocess", "tokenizer", "max_length"),
            f"{tokenizer.max_length} tokens for an input of {length}",
            "leave it out: it is then the input's own length",
        )


TEXT_RULES: tuple[Rule, ...] = (
    _tokenizer_goes_with_text,
    _texts_have_no_pixels,
    _inputs_take_tokens,
    _max_length_fits,
)
