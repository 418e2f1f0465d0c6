"""What a recipe refers to must be there: methods, datasets, files, a way from model to method.

Rules like those of ``rules``, but these ask the other rooms' tables and the file system. Nothing
is fetched: of a registry source only the form is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from edgekit.bridges import BRIDGES
from edgekit.bridges.route import find_route
from edgekit.errors import UsageError
from edgekit.fetch import Source, parse_source
from edgekit.methods import AUTO, METHODS, candidates
from edgekit.recipe.anchor import exists, is_path_like, names_function, shipped_names
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import ModelSpec, QuantizeSpec, Recipe
from edgekit.recipe.yaml_source import KeyPath
from edgekit.sources import FRAMEWORKS
from edgekit.types import ArtefactFormat, ModelKind

_OF_A_FACTORY = (ModelKind.TORCH_MODULE, ModelKind.CONCRETE_FUNCTION)


def known(path: KeyPath, value: str, names: Collection[str]) -> Findings:
    """A finding where ``value``, at ``path``, is none of ``names``."""
    if value not in names:
        yield Finding(path, f"there is no {path[-1]} '{value}'", did_you_mean(value, names))


def _method(recipe: Recipe) -> Findings:
    yield from known(("quantize", "method"), recipe.quantize.method, (AUTO, *METHODS))


def _bridge(recipe: Recipe) -> Findings:
    yield from known(("quantize", "bridge"), recipe.quantize.bridge, ("first", "auto", *BRIDGES))


def _options_of_the_method(recipe: Recipe) -> Findings:
    """A key that the method has no use for would be believed to have had an effect. What auto may
    choose must have a use for it whichever is chosen."""
    quantize = recipe.quantize
    methods = possible_methods(recipe)
    plain = QuantizeSpec(method=quantize.method)
    for name in vars(plain):
        if name in ("method", "bridge", "seed") or getattr(quantize, name) == getattr(plain, name):
            continue
        idle = [method for method in methods if name not in METHODS[method].options]
        if not idle:
            continue
        who = " and ".join(map(repr, idle))
        if quantize.method == AUTO:
            who += ", which auto takes here," if idle == methods else ", which auto may choose,"
        fit = [method for method in methods if method not in idle] or [
            other for other, row in METHODS.items() if name in row.options
        ]
        hint = f"remove it, or use method: {' or '.join(fit)}" if fit else "remove it"
        yield Finding(
            ("quantize", name), f"{who} {'have' if len(idle) > 1 else 'has'} no use for it", hint
        )
    for method in methods:
        backends = METHODS[method].backends
        if backends and quantize.backend not in ("auto", *backends):
            message = f"'{method}' makes nothing for '{quantize.backend}'"
            hint = f"it makes artefacts for {', '.join(backends)}"
            yield Finding(("quantize", "backend"), message, hint)


def _raising_is_a_rung(recipe: Recipe) -> Findings:
    quantize = recipe.quantize
    if quantize.raise_to != "none" and quantize.effort == "fast":
        yield Finding(
            ("quantize", "raise_to"),
            "raising layers is a rung of the ladder, which effort: fast does not climb",
            "write quantize.effort: balanced, best or auto",
        )


def _ends_of_the_method(recipe: Recipe) -> Findings:
    """INT16 ends go with INT16 activations, INT8 ones with INT8: nothing converts between them."""
    for method in possible_methods(recipe):
        entry = METHODS[method]
        for end in ("input_dtype", "output_dtype"):
            dtype = getattr(recipe.quantize, end)
            if end in entry.options and dtype not in entry.end_dtypes:
                message = f"'{method}' makes no {dtype} {end.removesuffix('_dtype')}s"
                hint = f"write {end}: {' or '.join(entry.end_dtypes)}"
                yield Finding(("quantize", end), message, hint)


def _older_runtime_reads_tflite(recipe: Recipe) -> Findings:
    for name in possible_methods(recipe) if recipe.gate.tflite_runtime_2_14 is not None else ():
        made = METHODS[name].produces
        if made is not ArtefactFormat.TFLITE:
            message = f"tflite-runtime reads .tflite, and '{name}' makes .{made.value}"
            yield Finding(("gate", "tflite_runtime_2_14"), message, "remove it")


def _a_way_to_the_method(recipe: Recipe) -> Findings:
    """Judged by what the model may turn out to be; the file itself is not opened here."""
    method, bridge = recipe.quantize.method, recipe.quantize.bridge
    if method not in (AUTO, *METHODS) or bridge not in ("first", "auto", *BRIDGES):
        return
    if _reached(recipe, bridge):
        return
    if bridge not in ("first", "auto") and (able := _reached(recipe, "first")):
        message = (
            f"'{bridge}' does not lead from this {recipe.model.framework} model to "
            f"{' or '.join(map(repr, able))}"
        )
        yield Finding(("quantize", "bridge"), message, "leave the key out, or write bridge: auto")
        return
    kinds = " or ".join(kind.value for kind in _possible_kinds(recipe.model))
    if method == AUTO:
        yield Finding(("quantize", "method"), f"no method that auto knows takes {kinds}")
        return
    accepted = " or ".join(kind.value for kind in METHODS[method].accepts)
    message = f"'{method}' takes {accepted}, and no bridge leads there from {kinds}"
    yield Finding(("quantize", "method"), message)


def possible_methods(recipe: Recipe) -> list[str]:
    """The method that is named, or all that auto may come to choose; none if it is not known."""
    if recipe.quantize.method == AUTO:
        return _reached(recipe, recipe.quantize.bridge)
    return [recipe.quantize.method] if recipe.quantize.method in METHODS else []


def _reached(recipe: Recipe, bridge: str) -> list[str]:
    """Of the methods that may be used, those that ``bridge`` leads to."""
    method, kinds = recipe.quantize.method, _possible_kinds(recipe.model)
    if method == AUTO:
        return list(dict.fromkeys(name for kind in kinds for name in candidates(kind, bridge)))
    routes = (find_route(kind, METHODS[method].accepts, bridge) for kind in kinds)
    return [method] if any(route is not None for route in routes) else []


def _possible_kinds(model: ModelSpec) -> tuple[ModelKind, ...]:
    """By the framework's table; what a file holds is known only when it is opened."""
    kinds = FRAMEWORKS[model.framework]
    by_factory = model.file is None
    # A Keras model is the same kind, whether a factory made it or a file.
    return tuple(kind for kind in kinds if (kind in _OF_A_FACTORY) is by_factory) or kinds


def _calibration_dataset(recipe: Recipe) -> Findings:
    yield from _dataset(("calibration", "dataset"), recipe.calibration.dataset)


def _evaluation_dataset(recipe: Recipe) -> Findings:
    yield from _dataset(("evaluate", "dataset"), recipe.evaluate.dataset)


def _dataset(path: KeyPath, value: str) -> Findings:
    names = shipped_names("calibration")
    if names_function(value):
        module, _, _ = value.rpartition(":")
        if module.endswith(".py") and not exists(module):
            yield Finding(path, f"there is no file {module}")
    elif is_path_like(value):
        if not exists(value):
            yield Finding(path, f"there is no file or folder {value}")
    elif value not in names:
        message = f"there is no dataset '{value}', neither shipped nor a file or folder here"
        yield Finding(path, message, did_you_mean(value, names))


def _weights(recipe: Recipe) -> Findings:
    """Sources are tried in order, so a missing file matters only where nothing else is left."""
    sources = recipe.model.weights
    others = [source for source in map(_parsed, sources) if source is not None]
    usable = any(source.scheme != "file" or exists(source.path or "") for source in others)
    for index, text in enumerate(sources):
        yield from _file_source(("model", "weights", index), text, must_exist=not usable)
    for index, more in enumerate(recipe.model.more_weights):
        path: KeyPath = ("model", "more_weights", index)
        yield from _file_source((*path, "source"), more.source)
        if more.sha256 is None and _is_registry(more.source):
            yield _unpinned((*path, "sha256"), "these weights come")


def _file(recipe: Recipe) -> Findings:
    if recipe.model.file is not None:
        yield from _file_source(("model", "file"), recipe.model.file)


def _model_is_pinned(recipe: Recipe) -> Findings:
    model = recipe.model
    texts = model.weights if model.file is None else (model.file,)
    if model.sha256 is None and any(map(_is_registry, texts)):
        path: KeyPath = ("model", "sha256")
        if model.framework == "tensorflow":
            message = "the model comes from a registry, so the sha256 of its folder must be given"
            yield Finding(path, message, "run it with 64 zeros: the message tells the folder's own")
        else:
            yield _unpinned(path, "the weights come")


def _labels(recipe: Recipe) -> Findings:
    labels = recipe.model.labels
    if labels is None:
        return
    path = ("model", "labels")
    yield from _file_source((*path, "source"), labels.source)
    if labels.sha256 is None and _is_registry(labels.source):
        yield _unpinned((*path, "sha256"), "the labels come")


def _tokenizer(recipe: Recipe) -> Findings:
    tokenizer = recipe.preprocess.tokenizer
    if tokenizer is None:
        return
    path = ("preprocess", "tokenizer")
    yield from _file_source((*path, "source"), tokenizer.source)
    if tokenizer.sha256 is None and _is_registry(tokenizer.source):
        yield _unpinned((*path, "sha256"), "the tokenizer comes")


def _code(recipe: Recipe) -> Findings:
    for index, code in enumerate(recipe.model.code):
        path: KeyPath = ("model", "code", index)
        yield from _form((*path, "source"), code.source)
        source = _parsed(code.source)
        if source is None:
            continue
        if source.scheme == "file":
            if not os.path.isdir(source.path or ""):
                yield Finding((*path, "source"), f"there is no folder {source.path}")
            continue
        if source.path is not None:
            yield Finding((*path, "source"), "names a file; code is a whole package or a folder")
        if code.sha256 is None:
            yield _unpinned((*path, "sha256"), "the code comes")


def _files_of_code(recipe: Recipe) -> Findings:
    named: list[tuple[KeyPath, str]] = [
        (("model", "factory"), recipe.model.factory or ""),
        (("evaluate", "metric"), recipe.evaluate.metric or ""),
    ]
    for index, text in enumerate(recipe.model.custom_objects):
        named.append((("model", "custom_objects", index), text))
    for path, text in named:
        module, _, _ = text.rpartition(":")
        if module.endswith(".py") and not exists(module):
            yield Finding(path, f"there is no file {module}")


def _file_source(path: KeyPath, text: str, *, must_exist: bool = True) -> Findings:
    yield from _form(path, text)
    source = _parsed(text)
    if source is None:
        return
    if source.scheme != "file":
        if source.path is None:
            yield Finding(path, f"names a package; add the path of the file in it: {text}/...")
    elif must_exist and not exists(source.path or ""):
        yield Finding(path, f"there is no file {source.path}")


def _form(path: KeyPath, text: str) -> Findings:
    try:
        parse_source(text)
    except UsageError as error:
        yield Finding(path, error.message, error.hint)


def _parsed(text: str) -> Source | None:
    try:
        return parse_source(text)
    except UsageError:
        return None


def _is_registry(text: str) -> bool:
    source = _parsed(text)
    return source is not None and source.scheme != "file"


def _unpinned(path: KeyPath, what: str) -> Finding:
    return Finding(
        path, f"{what} from a registry, so its sha256 must be given", "sha256sum FILE prints it"
    )


REFERENCES: tuple[Rule, ...] = (
    _method,
    _bridge,
    _options_of_the_method,
    _raising_is_a_rung,
    _ends_of_the_method,
    _older_runtime_reads_tflite,
    _a_way_to_the_method,
    _calibration_dataset,
    _evaluation_dataset,
    _weights,
    _file,
    _model_is_pinned,
    _labels,
    _tokenizer,
    _code,
    _files_of_code,
)
