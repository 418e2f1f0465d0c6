"""What a Keras file or a SavedModel says about itself, once it is loaded."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.tf_function import TFSession
from edgekit.sources.described_file import Described, input_spec, nhwc
from edgekit.sources.tf_checks import refuse_dtypes
from edgekit.tensorflow.function import TFModel
from edgekit.types import TensorInfo

_BY_HAND = (
    "Only a recipe can say that, and init runs no code to write one: copy a shipped one, "
    "edgekit recipes show fer_int8 > model.yaml, and under model: write file, inputs, outputs and "
    "that key."
)


def describe_keras(file: Path, input_shape: tuple[int, ...] | None) -> Described:
    """Load the Keras ``file`` and describe it; ``input_shape`` fills the sizes it leaves open.

    Raises:
        SourceError: as ``sources.keras``; a Lambda layer or a class of one's own needs a recipe.
    """
    from edgekit.sources.keras import NeedsCode, load_file, refuse_lambdas
    from edgekit.sources.keras_file import read_keras_file
    from edgekit.sources.keras_function import as_function

    found = read_keras_file(file)
    try:
        refuse_lambdas(found, file)
        keras = load_file(file, found)
    except NeedsCode as error:
        raise SourceError(error.message, hint=f"{error.hint}\n{_BY_HAND}") from error
    if not getattr(keras, "inputs", None) and input_shape is None:
        raise SourceError(
            f"{file} is a subclassed model, which does not record the shape of its input",
            hint="Add --input-shape, e.g. --input-shape 1,224,224,3",
        )
    unnamed = () if input_shape is None else (InputSpec("input", input_shape),)
    model = as_function(keras, unnamed, ("output",), name=file.name)
    return _describe("keras", model, file, input_shape)


def describe_saved_model(
    folder: Path, input_shape: tuple[int, ...] | None, signature: str | None
) -> Described:
    """Load the SavedModel in ``folder`` and describe one signature of it.

    Raises:
        SourceError: as ``sources.tensorflow``, or an open size that was not given.
    """
    from edgekit.sources.tensorflow import check_saved_model, load_saved_model

    check_saved_model(folder)
    return _describe(
        "tensorflow", load_saved_model(folder, signature), folder, input_shape, signature
    )


def _describe(
    framework: str,
    model: TFModel,
    path: Path,
    input_shape: tuple[int, ...] | None,
    signature: str | None = None,
) -> Described:
    refuse_dtypes(model.inputs, path.name)
    if input_shape is not None and len(model.inputs) > 1:
        raise SourceError(
            f"{path.name} has {len(model.inputs)} inputs, and --input-shape is about one",
            hint="Write its open sizes into a recipe by hand.",
        )
    inputs, guesses = [], []
    for info in model.inputs:
        shape = _closed(info, input_shape)
        inputs.append(input_spec(info.name, shape, info.dtype, nhwc(shape)))
        if len(shape) == 4:
            guesses.append(f"input {info.name} {list(shape)} is NHWC, as {framework} models are")
    ends = tuple(inputs)
    with TFSession(model, ends, model.outputs, name=path.name, threads=1) as session:
        shapes = tuple(info.shape for info in session.info.outputs)
    return Described(
        framework=framework,
        inputs=ends,
        outputs=model.outputs,
        output_shapes=shapes,
        guesses=tuple(guesses),
        signature=signature,
    )


def _closed(info: TensorInfo, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of ``info`` with its open sizes as ``given``; an open batch is one by itself."""
    shown = "[" + ", ".join("?" if size == -1 else str(size) for size in info.shape) + "]"
    if given is None:
        if -1 in info.shape[1:]:
            raise SourceError(
                f"input {info.name} leaves sizes open: {shown}",
                hint="Give them: --input-shape "
                + ",".join("1" if size == -1 else str(size) for size in info.shape),
            )
        return tuple(1 if size == -1 else size for size in info.shape)
    fits = len(given) == len(info.shape) and all(
        own in (-1, size) for own, size in zip(info.shape, given, strict=True)
    )
    if not fits:
        raise SourceError(
            f"input {info.name} is {shown}, which --input-shape {','.join(map(str, given))} "
            "does not fit",
            hint="Only open sizes ('?') are yours to choose.",
        )
    return given
