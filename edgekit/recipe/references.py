"""What a recipe refers to must be there: methods, datasets, files, a way from model to method.

Rules like those of ``rules``, but these ask the other rooms' tables and the file system. Nothing
is fetched: of a registry source only the form is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edgekit.bridges import BRIDGES
from edgekit.bridges.route import find_route
from edgekit.calibrate import ESTIMATORS
from edgekit.methods import METHODS
from edgekit.recipe.anchor import REGISTRY_SOURCE, exists, is_path_like, local_path, shipped_names
from edgekit.recipe.nearest import did_you_mean
from edgekit.recipe.rules import Finding, Findings, Rule
from edgekit.recipe.schema import ModelSpec, Recipe
from edgekit.recipe.yaml_source import KeyPath
from edgekit.types import ModelKind


def _known(path: KeyPath, value: str, names: Collection[str]) -> Findings:
    if value not in names:
        yield Finding(path, f"there is no {path[-1]} '{value}'", did_you_mean(value, names))


def _method(recipe: Recipe) -> Findings:
    yield from _known(("quantize", "method"), recipe.quantize.method, METHODS)


def _estimator(recipe: Recipe) -> Findings:
    yield from _known(("quantize", "estimator"), recipe.quantize.estimator, ESTIMATORS)


def _bridge(recipe: Recipe) -> Findings:
    yield from _known(("quantize", "bridge"), recipe.quantize.bridge, ("auto", *BRIDGES))


def _a_way_to_the_method(recipe: Recipe) -> Findings:
    """Judged by what the model may turn out to be; the file itself is not opened here."""
    method, bridge = recipe.quantize.method, recipe.quantize.bridge
    if method not in METHODS or bridge not in ("auto", *BRIDGES):
        return
    accepted = METHODS[method].accepts
    kinds = _possible_kinds(recipe.model)
    if any(find_route(kind, accepted, bridge) is not None for kind in kinds):
        return
    if bridge != "auto" and any(find_route(kind, accepted) is not None for kind in kinds):
        message = f"'{bridge}' does not lead from this {recipe.model.framework} model to '{method}'"
        yield Finding(("quantize", "bridge"), message, "write bridge: auto")
        return
    message = (
        f"'{method}' takes {' or '.join(kind.value for kind in accepted)}, and no bridge leads "
        f"there from {' or '.join(kind.value for kind in kinds)}"
    )
    yield Finding(("quantize", "method"), message)


def _possible_kinds(model: ModelSpec) -> tuple[ModelKind, ...]:
    if model.framework == "tflite":
        return (ModelKind.FLOAT_TFLITE,)
    if model.file is None:
        return (ModelKind.TORCH_MODULE,)
    if model.file.endswith(".pt2"):
        return (ModelKind.EXPORTED_PROGRAM,)
    return (ModelKind.TORCHSCRIPT, ModelKind.EXPORTED_PROGRAM)


def _datasets(recipe: Recipe) -> Findings:
    yield from _dataset(("calibration", "dataset"), recipe.calibration.dataset)


def _evaluation_dataset(recipe: Recipe) -> Findings:
    yield from _dataset(("evaluate", "dataset"), recipe.evaluate.dataset)


def _dataset(path: KeyPath, value: str) -> Findings:
    names = shipped_names("calibration")
    if is_path_like(value):
        if not exists(value):
            yield Finding(path, f"there is no file or folder {value}")
    elif value not in names:
        message = f"there is no dataset '{value}', neither shipped nor a file or folder here"
        yield Finding(path, message, did_you_mean(value, names))


def _weights(recipe: Recipe) -> Findings:
    for index, source in enumerate(recipe.model.weights):
        yield from _source(("model", "weights", index), source)


def _weights_pinned(recipe: Recipe) -> Findings:
    if recipe.model.sha256 is None and any(map(REGISTRY_SOURCE.match, recipe.model.weights)):
        yield _unpinned(("model", "sha256"), "the weights come")


def _file(recipe: Recipe) -> Findings:
    if recipe.model.file is not None:
        yield from _source(("model", "file"), recipe.model.file)
        if recipe.model.sha256 is None and REGISTRY_SOURCE.match(recipe.model.file):
            yield _unpinned(("model", "sha256"), "the file comes")


def _labels(recipe: Recipe) -> Findings:
    labels = recipe.model.labels
    if labels is not None:
        yield from _source(("model", "labels", "source"), labels.source)
        if labels.sha256 is None and REGISTRY_SOURCE.match(labels.source):
            yield _unpinned(("model", "labels", "sha256"), "the labels come")


def _code(recipe: Recipe) -> Findings:
    for index, code in enumerate(recipe.model.code):
        path: KeyPath = ("model", "code", index)
        yield from _source((*path, "source"), code.source)
        if code.sha256 is None and REGISTRY_SOURCE.match(code.source):
            yield _unpinned((*path, "sha256"), "the code comes")


def _factory_file(recipe: Recipe) -> Findings:
    module, _, _ = (recipe.model.factory or "").rpartition(":")
    if module.endswith(".py") and not exists(module):
        yield Finding(("model", "factory"), f"there is no file {module}")


def _unpinned(path: KeyPath, what: str) -> Finding:
    return Finding(
        path, f"{what} from a registry, so its sha256 must be given", "sha256sum FILE prints it"
    )


def _source(path: KeyPath, source: str) -> Iterator[Finding]:
    local = local_path(source)
    if local is not None:
        if not exists(local):
            yield Finding(path, f"there is no file {local}")
    elif REGISTRY_SOURCE.match(source) is None:
        scheme = source.partition("://")[0]
        hint = did_you_mean(scheme, ("file", "pypi", "npm", "deb"))
        yield Finding(path, f"'{scheme}://' is not a source edgekit reads", hint)


REFERENCES: tuple[Rule, ...] = (
    _method,
    _estimator,
    _bridge,
    _a_way_to_the_method,
    _datasets,
    _evaluation_dataset,
    _weights,
    _weights_pinned,
    _file,
    _labels,
    _code,
    _factory_file,
)
