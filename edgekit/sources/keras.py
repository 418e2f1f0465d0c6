"""Keras models: a .keras or .h5 file of Keras 1 to 3, or a factory with a file of weights.

Which library loads a file is what the file says: Keras 3 its own, tf_keras those of Keras 1 and 2.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.capture import captured_output
from edgekit.errors import MissingError, SourceError, UsageError
from edgekit.fetch import fetch, fetch_first, parse_source
from edgekit.progress import Progress
from edgekit.recipe.schema import ModelSpec
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.session import Session
from edgekit.runtimes.tf_function import TFSession, choose_threads
from edgekit.sources.factory import Factory, exit_told, importable, locate_function
from edgekit.sources.factory import locate as locate_factory
from edgekit.sources.keras_file import (
    KerasFile,
    Library,
    lambda_layers,
    layer_that_names,
    read_keras_file,
)
from edgekit.sources.keras_function import as_function
from edgekit.sources.source import SourceModel
from edgekit.sources.tf_checks import check_ends, check_finite, tensorflow_version, versions
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.types import ModelKind

_INSTALL = "pip install 'edgekit[tensorflow]'"
_CUSTOM = "model.custom_objects"


class NeedsCode(SourceError):
    """A file that is no model without Python code which a recipe has to allow or to name."""


def locate(spec: ModelSpec, base: Path | None, progress: Progress, cache: Cache) -> SourceModel:
    """As ``sources.locate``; a file with Lambda layers is refused here, before it is loaded."""
    return _from_file(spec, base, progress) if spec.file else _from_factory(spec, base, progress)


def _from_file(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    assert spec.file is not None
    _refuse_folder(spec.file, base)
    file = fetch(spec.file, sha256=spec.sha256, base=base, progress=progress)
    found = read_keras_file(file)
    if not spec.trust_lambda:
        refuse_lambdas(found, file)
    custom = tuple(locate_function(text, base, key=_CUSTOM) for text in spec.custom_objects)
    fingerprint = {
        "file": file_sha256(file),
        "versions": versions(found.library.replace("_", "-")),
        "tensorflow": tensorflow_version(),
        "custom": [[function.text, function.fingerprint] for function in custom],
    }
    return _source(
        spec,
        content_key(fingerprint),
        {"model": file},
        lambda: load_file(file, found, custom, trust_lambda=spec.trust_lambda),
        name=file.name,
    )


def _from_factory(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    if spec.factory is None:
        raise SourceError("a keras model needs model.factory or model.file")
    factory = locate_factory(spec, base, progress)
    files: dict[str, Path] = {}
    if spec.weights:
        files["weights"] = fetch_first(
            spec.weights, sha256=spec.sha256, base=base, progress=progress
        )
    fingerprint = {
        "factory": spec.factory,
        "arguments": dict(spec.factory_args),
        "code": factory.fingerprint,
        "weights": [file_sha256(file) for file in files.values()],
        "versions": versions("keras", "tf-keras"),
        "tensorflow": tensorflow_version(),
    }
    return _source(
        spec,
        content_key(fingerprint),
        files,
        lambda: _build(factory, spec.factory_args, files.get("weights")),
        name=f"model.factory {spec.factory}",
    )


def _source(
    spec: ModelSpec,
    fingerprint: str,
    files: Mapping[str, Path],
    load: Callable[[], Any],
    *,
    name: str,
) -> SourceModel:
    def loader() -> TFModel:
        model = load()
        check_finite(model.weights, name)
        function = as_function(model, spec.inputs, spec.outputs, name=name)
        check_ends(function, spec.inputs, spec.outputs, name=name)
        return function

    return SourceModel(
        kind=ModelKind.KERAS,
        inputs=spec.inputs,
        outputs=spec.outputs,
        fingerprint=fingerprint,
        files=files,
        loader=loader,
        opener=_open,
    )


def _open(source: SourceModel, threads: int) -> Session:
    choose_threads(threads)
    name = "the keras model"
    return TFSession(source.value, source.inputs, source.outputs, name=name, threads=threads)


def refuse_lambdas(found: KerasFile, file: Path) -> None:
    """A Lambda layer is Python code that runs when the file is loaded.

    Raises:
        NeedsCode: the file holds some; names the layers.
    """
    layers = lambda_layers(found.config)
    if layers:
        raise NeedsCode(
            f"{file} holds Python code that runs when it is loaded: Lambda in "
            f"{', '.join(layers[:5])}" + (f" and {len(layers) - 5} more" if layers[5:] else ""),
            hint="If you made the file yourself, set model.trust_lambda: true; better, save it "
            "with a layer class of your own and name that in model.custom_objects.",
        )


def load_file(
    file: Path, found: KerasFile, custom: tuple[Factory, ...] = (), *, trust_lambda: bool = False
) -> Any:
    """The Keras model in ``file``, by the library that ``found`` says; never compiled.

    Raises:
        SourceError: the library cannot read it, or (``NeedsCode``) a class in it is unknown.
        MissingError: the library, or a module of ``custom``, is not installed.
    """
    library = require_keras(found.library)
    objects: dict[str, Any] = {}
    for function in custom:
        made = function.function()
        _check_library(made, found.library, function.text, library)
        objects[function.attribute.rpartition(".")[2]] = made
    paths = tuple(dict.fromkeys(path for function in custom for path in function.paths))
    with importable(paths), captured_output():
        try:
            return library.models.load_model(
                file, custom_objects=objects, compile=False, safe_mode=not trust_lambda
            )
        except SystemExit as error:
            raise exit_told(error, f"{_CUSTOM} of {file}") from error
        except Exception as error:  # Keras raises many types, and custom classes any
            raise _unloadable(file, found, str(error)) from error


def _unloadable(file: Path, found: KerasFile, text: str) -> SourceError:
    unknown = re.search(r"(?:Unknown [^:']{1,40}: |Could not locate \w+ )'([^']+)'", text)
    if unknown:
        layer = layer_that_names(found.config, unknown[1])
        where = f" of layer '{layer}'" if layer else ""
        return NeedsCode(
            f"{file} needs the class or function {unknown[1]}{where}, which is not Keras's own",
            hint=f"Name where it is defined: model.custom_objects: [model.py:{unknown[1]}]",
        )
    cause = condensed_cause(text.rpartition("Exception encountered: ")[2])
    return SourceError(
        f"{found.library} cannot load {file}, written by Keras {found.version}: {cause}",
        hint="A file that was cut or damaged, or one of another version of Keras: copy it "
        "again, or save it again with this version.",
    )


def _build(factory: Factory, arguments: Mapping[str, Any], weights: Path | None) -> Any:
    _prepare_backend()
    require_tensorflow()
    with captured_output():
        model = factory.call(arguments)
    library = next(
        (name for name in ("keras", "tf_keras") if isinstance(model, _model_class(name))), None
    )
    if library is None:
        raise SourceError(
            f"model.factory {factory.text} made a {type(model).__name__}, no keras.Model"
        )
    require_keras("keras" if library == "keras" else "tf_keras")
    if not model.built:
        raise SourceError(
            f"model.factory {factory.text} made a model without weights: it is not built yet",
            hint="Start it with an Input layer, or call it on an example in the factory.",
        )
    if weights is not None:
        _load_weights(model, weights, factory.text)
    return model


def _load_weights(model: Any, weights: Path, name: str) -> None:
    with captured_output():
        try:
            model.load_weights(str(weights))
        except Exception as error:  # Keras raises many types
            raise SourceError(
                f"{weights.name} does not fit model.factory {name}: {condensed_cause(str(error))}",
                hint="Check model.factory and model.factory_args (number of classes, width).",
            ) from error


def _model_class(name: str) -> Any:
    """``Model`` of a library that something has imported; of another no model can be."""
    return getattr(sys.modules.get(name), "Model", ())


def require_keras(library: Library) -> Any:
    """The module ``keras`` (with TensorFlow beneath) or ``tf_keras``.

    Raises:
        MissingError: it is not installed.
        UsageError: Keras runs on another backend in this process already.
    """
    _prepare_backend()
    require_tensorflow()
    with captured_output():
        try:
            keras = import_module(library)
        except ImportError as error:
            raise MissingError(
                f"this Keras model needs the package {library}", hint=_INSTALL
            ) from error
    if library == "keras" and (backend := keras.backend.backend()) != "tensorflow":
        raise UsageError(
            f"Keras runs on {backend} in this process, and edgekit needs it on tensorflow",
            hint="Set KERAS_BACKEND=tensorflow before anything imports keras.",
        )
    return keras


def _prepare_backend() -> None:
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"


def _check_library(made: Any, wanted: Library, text: str, library: Any) -> None:
    """A class of Keras 3 in a model of tf_keras fails in ways that do not say so."""
    other: Library = "keras" if wanted == "tf_keras" else "tf_keras"
    with suppress(TypeError):  # no class
        foreign = sys.modules.get(other)
        layer = getattr(getattr(foreign, "layers", None), "Layer", ())
        if issubclass(made, layer) and not issubclass(made, library.layers.Layer):
            raise SourceError(
                f"{_CUSTOM}: {text} is a layer of {other}, but the file is read by {wanted}",
                hint=f"Define it with: import {wanted}"
                + (" as keras" if wanted == "tf_keras" else ""),
            )


def _refuse_folder(text: str, base: Path | None) -> None:
    source = parse_source(text)
    if source.scheme != "file":
        return
    folder = (base or Path()) / Path(source.path or "").expanduser()
    if folder.is_dir():
        raise SourceError(
            f"{folder} is a folder, and a Keras model is a .keras or .h5 file",
            hint="A SavedModel is framework: tensorflow.",
        )
