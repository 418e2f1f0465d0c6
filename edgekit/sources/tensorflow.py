"""TensorFlow models: a SavedModel folder with its signatures, or a function from a factory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.cache import Cache, content_key
from edgekit.capture import captured_output
from edgekit.errors import SourceError
from edgekit.fetch import fetch_folder, parse_source, tree_sha256
from edgekit.progress import Progress
from edgekit.recipe.schema import ModelSpec
from edgekit.runtimes.session import Session
from edgekit.runtimes.tf_function import TFSession, choose_threads, tf_cause
from edgekit.sources.factory import Factory
from edgekit.sources.factory import locate as locate_factory
from edgekit.sources.source import SourceModel
from edgekit.sources.tf_checks import check_ends, check_finite, shown, tensorflow_version
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.tflite.signatures import DEFAULT_SIGNATURE, signature_meant
from edgekit.types import ModelKind, TensorInfo

_KEEP_ALIVE = (
    "TensorFlow frees an object with its variables when nothing refers to it: return "
    "(function, object)."
)
_FRAMEWORK_OF = {
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".tflite": "tflite",
    ".onnx": "onnx",
}
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")


def locate(spec: ModelSpec, base: Path | None, progress: Progress, cache: Cache) -> SourceModel:
    """As ``sources.locate``."""
    return _from_folder(spec, base, progress) if spec.file else _from_factory(spec, base, progress)


def _from_folder(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    assert spec.file is not None
    _refuse_file(spec.file, base)
    folder = fetch_folder(spec.file, sha256=spec.sha256, base=base, progress=progress)
    check_saved_model(folder)
    fingerprint = {
        "folder": tree_sha256(folder),
        "signature": spec.signature,
        "tensorflow": tensorflow_version(),
    }

    def loader() -> TFModel:
        model = load_saved_model(folder, spec.signature)
        check_ends(model, spec.inputs, spec.outputs, name=f"{folder.name} ({model.signature})")
        return model

    return SourceModel(
        kind=ModelKind.SAVED_MODEL,
        inputs=spec.inputs,
        outputs=spec.outputs,
        fingerprint=content_key(fingerprint),
        files={"model": folder},
        loader=loader,
        opener=_open,
    )


def _from_factory(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    if spec.factory is None:
        raise SourceError("a tensorflow model needs model.factory or model.file")
    factory = locate_factory(spec, base, progress)
    fingerprint = {
        "factory": spec.factory,
        "arguments": dict(spec.factory_args),
        "code": factory.fingerprint,
        "tensorflow": tensorflow_version(),
    }

    def loader() -> TFModel:
        model = _made(factory, spec)
        check_ends(model, spec.inputs, spec.outputs, name=f"model.factory {spec.factory}")
        return model

    return SourceModel(
        kind=ModelKind.CONCRETE_FUNCTION,
        inputs=spec.inputs,
        outputs=spec.outputs,
        fingerprint=content_key(fingerprint),
        files={},
        loader=loader,
        opener=_open,
    )


def _open(source: SourceModel, threads: int) -> Session:
    choose_threads(threads)
    name = "the tensorflow model"
    return TFSession(source.value, source.inputs, source.outputs, name=name, threads=threads)


def _refuse_file(text: str, base: Path | None) -> None:
    source = parse_source(text)
    if source.scheme != "file":
        return
    file = (base or Path()) / Path(source.path or "").expanduser()
    if file.is_file():
        framework = _FRAMEWORK_OF.get(file.suffix)
        raise SourceError(
            f"{file} is a file, and a SavedModel is a folder",
            hint=f"A {file.suffix} file is framework: {framework}."
            if framework
            else "Name the folder that tf.saved_model.save, or model.export, wrote.",
        )


def check_saved_model(folder: Path) -> None:
    """Refuse a folder that is no SavedModel, by its files.

    Raises:
        SourceError: says what is missing.
    """
    if not any((folder / name).is_file() for name in _GRAPHS):
        keras = (folder / "config.json").is_file() and (folder / "metadata.json").is_file()
        raise SourceError(
            f"{folder} is no SavedModel: it holds no saved_model.pb",
            hint="It is an unpacked .keras file: zip its content into model.keras."
            if keras
            else "Name the folder that tf.saved_model.save, or model.export, wrote.",
        )


def load_saved_model(folder: Path, signature: str | None) -> TFModel:
    """The function of one signature: ``signature``, else 'serving_default', else the only one.

    Raises:
        SourceError: TensorFlow cannot read the folder, there is no such signature (lists those
            there), or the weights hold NaN.
    """
    tensorflow = require_tensorflow()
    with captured_output():
        try:
            loaded = tensorflow.saved_model.load(str(folder))
        except Exception as error:  # TensorFlow raises many types, and its protobuf others
            raise _unloadable(folder, error) from error
    functions = {
        name: function
        for name, function in loaded.signatures.items()
        if not name.startswith("__")  # how files of TensorFlow 1 name what prepares them
    }
    name = _chosen(folder, functions, signature)
    function = functions[name]
    check_finite(function.variables, folder.name)
    _, keywords = function.structured_input_signature
    return TFModel(
        call=function,
        inputs=tuple(_info(key, spec) for key, spec in sorted(keywords.items())),
        outputs=_names(function.structured_outputs),
        holder=loaded,
        signature=name,
    )


def _unloadable(folder: Path, error: Exception) -> SourceError:
    lacks = not (folder / "variables" / "variables.index").is_file()
    return SourceError(
        f"TensorFlow cannot load {folder}: {tf_cause(error)}",
        hint="It has no variables/variables.index, which holds the weights: copy the whole folder."
        if lacks
        else "A file in it was cut or damaged, or needs an operator that is not installed: copy "
        "the whole folder again.",
    )


def _chosen(folder: Path, functions: Mapping[str, Any], wanted: str | None) -> str:
    chosen = signature_meant(functions, wanted)
    if chosen is not None:
        return chosen
    if not functions:
        raise SourceError(
            f"{folder} has no signatures",
            hint="Save it with tf.saved_model.save(model, folder, signatures=...), or give a "
            "model.factory that loads it and returns the function to convert.",
        )
    missing = f"no signature '{wanted}'" if wanted else f"no '{DEFAULT_SIGNATURE}'"
    listed = "\n  ".join(f"{name}: {_described(functions[name])}" for name in sorted(functions))
    raise SourceError(
        f"{folder} has {missing}; it has\n  {listed}",
        hint="Choose one with model.signature.",
    )


def _described(function: Any) -> str:
    _, keywords = function.structured_input_signature
    ends = [", ".join(shown(_info(key, spec)) for key, spec in sorted(keywords.items()))]
    outputs = function.structured_outputs
    ends.append(", ".join(shown(_info(key, outputs[key])) for key in _names(outputs)))
    return " -> ".join(ends)


def _made(factory: Factory, spec: ModelSpec) -> TFModel:
    tensorflow = require_tensorflow()
    with captured_output():
        made = factory.call(spec.factory_args)
    pair = isinstance(made, tuple) and len(made) == 2
    function, holder = made if pair else (made, made)
    name = f"model.factory {spec.factory}"
    function = _concrete(function, name)
    try:
        check_finite(function.variables, name)
    except AssertionError as error:  # TensorFlow's word for it
        raise SourceError(f"the variables of {name} are gone", hint=_KEEP_ALIVE) from error
    structure = function.structured_input_signature
    specs = tensorflow.nest.flatten(structure)
    infos = tuple(
        _info(getattr(spec, "name", None) or f"input_{n}", spec) for n, spec in enumerate(specs)
    )
    outputs = function.structured_outputs
    names = _names(outputs) if isinstance(outputs, dict) else spec.outputs
    count = len(tensorflow.nest.flatten(outputs))
    if count != len(names):
        raise SourceError(
            f"{name} returns {count} outputs, but {len(names)} are named ({', '.join(names)})",
            hint="Name every output, in the function's order, under model.outputs.",
        )

    def call(**tensors: Any) -> Mapping[str, Any]:
        arguments, keywords = tensorflow.nest.pack_sequence_as(
            structure, [tensors[info.name] for info in infos]
        )
        answers = tensorflow.nest.flatten(function(*arguments, **keywords))
        return dict(zip(names, answers, strict=True))

    return TFModel(call=call, inputs=infos, outputs=names, holder=(function, holder))


def _concrete(function: Any, name: str) -> Any:
    """``function`` itself where it is a ConcreteFunction, else traced for its input_signature."""
    if hasattr(function, "get_concrete_function") and hasattr(function, "input_signature"):
        if function.input_signature is None:
            raise SourceError(
                f"{name} made a tf.function without input_signature",
                hint="Add @tf.function(input_signature=[tf.TensorSpec(...)]), or return "
                "function.get_concrete_function(...).",
            )
        with captured_output():
            try:
                return function.get_concrete_function()
            except Exception as error:  # the user's own code
                raise SourceError(
                    f"{name} cannot be traced: {tf_cause(error)}", hint=_KEEP_ALIVE
                ) from error
    if not hasattr(function, "structured_input_signature"):
        raise SourceError(
            f"{name} made a {type(function).__name__}, no TensorFlow function",
            hint="Return a tf.function with input_signature, a ConcreteFunction, or either with "
            "the object that owns its variables. A Keras model is framework: keras.",
        )
    return function


def _names(outputs: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(outputs))  # the order in which TensorFlow flattens a dict


def _info(name: str, spec: Any) -> TensorInfo:
    """Of a TensorSpec or tensor; a ragged or sparse one says so in its dtype."""
    dtype: str = spec.dtype.name
    kind = type(spec).__name__
    if kind.startswith(("Ragged", "Sparse")):
        dtype = f"{kind[:6].lower()} {dtype}"
    if spec.shape.rank is None:
        raise SourceError(
            f"'{name}' of the model does not say how many axes it has",
            hint="Save it with a TensorSpec that gives the shape, None for open sizes.",
        )
    shape = tuple(-1 if size is None else int(size) for size in spec.shape.as_list())
    return TensorInfo(name, shape, dtype)
