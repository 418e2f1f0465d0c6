"""What model files say about themselves, for a recipe to be written from."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgekit.errors import SourceError
from edgekit.sources.described_file import (
    Described,
    input_spec,
    nhwc,
    refuse_free_sizes,
    refuse_given,
)
from edgekit.tflite.flatbuffer import FILE_IDENTIFIER

_HDF5 = b"\x89HDF\r\n\x1a\n"
_IR_VERSION = b"\x08"  # tag of the first field of an ONNX model, which has no other mark


def describe(
    file: Path,
    *,
    input_shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    signature: str | None = None,
) -> Described:
    """Look into ``file``: an ExportedProgram, a TorchScript file, a float ``.tflite``, an ONNX
    model, a Keras file or the folder of a SavedModel.

    Raises:
        SourceError: another format, or a fact the file does not hold and was not given.
    """
    if file.is_dir():
        _refuse_layout(file, layout)
        from edgekit.sources.described_tf import describe_saved_model

        return describe_saved_model(file, input_shape, signature)
    if signature is not None:
        raise SourceError(f"{file} is no SavedModel", hint="Leave out --signature.")
    try:
        with file.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise SourceError(f"cannot read the model file {file}: {error.strerror}") from error
    if head[4:8] == FILE_IDENTIFIER:
        refuse_given(file, input_shape, layout)
        return _describe_tflite(file)
    if head == _HDF5 or file.suffix == ".keras":
        _refuse_layout(file, layout)
        from edgekit.sources.described_tf import describe_keras

        return describe_keras(file, input_shape)
    if zipfile.is_zipfile(file):
        from edgekit.sources.described_torch import describe_torch

        return describe_torch(file, input_shape, layout)
    if file.suffix == ".onnx" or head[:1] == _IR_VERSION:
        from edgekit.sources.described_onnx import describe_onnx

        return describe_onnx(file, input_shape, layout)
    raise SourceError(
        f"{file} is no model format that edgekit knows by its content",
        hint="It reads ExportedProgram (.pt2), TorchScript, .onnx, .tflite, .keras and .h5 files "
        "and SavedModel folders; for a checkpoint write a recipe with model.factory and "
        "model.weights.",
    )


def _refuse_layout(file: Path, layout: str | None) -> None:
    if layout == "NCHW":
        raise SourceError(
            f"{file} is of TensorFlow, whose images are channels-last", hint="Leave out --layout."
        )


def _describe_tflite(file: Path) -> Described:
    from edgekit.sources.tflite import refuse_quantized
    from edgekit.tflite.graph import read_graph
    from edgekit.tflite.metadata_read import read_metadata

    graph = read_graph(file)
    refuse_quantized(graph, str(file))
    inputs, guesses = [], []
    for name, index in zip(graph.input_names, graph.inputs, strict=True):
        tensor = graph.tensors[index]
        refuse_free_sizes(name, tensor.free_axes)
        inputs.append(input_spec(name, tensor.shape, tensor.dtype, nhwc(tensor.shape)))
        if len(tensor.shape) == 4:
            guesses.append(f"input {name} {list(tensor.shape)} is NHWC, as .tflite models are")
    return Described(
        framework="tflite",
        inputs=tuple(inputs),
        outputs=graph.output_names,
        output_shapes=tuple(graph.tensors[index].shape for index in graph.outputs),
        guesses=tuple(guesses),
        metadata=read_metadata(file),
    )
