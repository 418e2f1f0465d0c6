"""What a model file says about itself, for a recipe to be written from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_type_hints

from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.tflite.flatbuffer import FILE_IDENTIFIER
from edgekit.types import ModelKind

DTYPES: tuple[str, ...] = get_args(get_type_hints(InputSpec)["dtype"])


@dataclass(frozen=True)
class Described:
    """``inputs`` carry the layout that the shape suggests; ``guesses`` says where it was one."""

    framework: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    guesses: tuple[str, ...]


def describe(
    file: Path, *, input_shape: tuple[int, ...] | None = None, layout: str | None = None
) -> Described:
    """Look into ``file``: an ExportedProgram, a TorchScript file, or a float ``.tflite``.

    Raises:
        SourceError: another format, or a fact the file does not hold and was not given.
    """
    if file.is_dir():
        raise SourceError(f"{file} is a folder, not a model file")
    try:
        with file.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise SourceError(f"cannot read the model file {file}: {error.strerror}") from error
    if head[4:8] == FILE_IDENTIFIER:
        _check_not_given(file, input_shape, layout)
        return _describe_tflite(file)
    if zipfile.is_zipfile(file):
        return _describe_torch(file, input_shape, layout)
    raise SourceError(
        f"{file} is no model format that edgekit knows by its content",
        hint="It reads ExportedProgram (.pt2), TorchScript and .tflite files; "
        "for a checkpoint write a recipe with model.factory and model.weights.",
    )


def _describe_tflite(file: Path) -> Described:
    from edgekit.sources.tflite import refuse_quantized
    from edgekit.tflite.graph import read_graph

    graph = read_graph(file)
    refuse_quantized(graph, str(file))
    inputs, guesses = [], []
    for name, index in zip(graph.input_names, graph.inputs, strict=True):
        tensor = graph.tensors[index]
        _check_free(name, tensor.free_axes)
        inputs.append(_input(name, tensor.shape, tensor.dtype, _nhwc(tensor.shape)))
        if len(tensor.shape) == 4:
            guesses.append(f"input {name} {list(tensor.shape)} is NHWC, as .tflite models are")
    return Described(
        framework="tflite",
        inputs=tuple(inputs),
        outputs=graph.output_names,
        output_shapes=tuple(graph.tensors[index].shape for index in graph.outputs),
        guesses=tuple(guesses),
    )


def _describe_torch(
    file: Path, input_shape: tuple[int, ...] | None, layout: str | None
) -> Described:
    from edgekit.sources.pytorch import file_kind, load_file

    kind = file_kind(file)
    model = load_file(file, kind)
    if kind is ModelKind.EXPORTED_PROGRAM:
        _check_not_given(file, input_shape, None)
        ends = _program_inputs(model)
    elif input_shape is None:
        raise SourceError(
            f"{file} is TorchScript, which does not record the shape of its input",
            hint="Add --input-shape, e.g. --input-shape 1,3,224,224",
        )
    else:
        ends = [("image" if len(input_shape) == 4 else "input", input_shape, "float32")]
    inputs, guesses = [], []
    for name, shape, dtype in ends:
        found = layout or _by_channels(shape)
        if len(shape) == 4:
            if found is None:
                raise SourceError(
                    f"the shape {list(shape)} of input {name} does not tell its channels' axis",
                    hint="Say which it is: --layout NCHW or --layout NHWC",
                )
            if layout is None:
                guesses.append(f"input {name} {list(shape)} is {found}, by its channels")
        inputs.append(_input(name, shape, dtype, found if len(shape) == 4 else None))
    shapes = _output_shapes(model, kind, ends)
    return Described(
        framework="pytorch",
        inputs=tuple(inputs),
        outputs=tuple(
            "output" if len(shapes) == 1 else f"output_{number}" for number in range(len(shapes))
        ),
        output_shapes=shapes,
        guesses=tuple(guesses),
    )


def _program_inputs(program: Any) -> list[tuple[str, tuple[int, ...], str]]:
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    ends = []
    for name in program.graph_signature.user_inputs:
        value: Any = values.get(name) if isinstance(name, str) else name
        if not hasattr(value, "shape"):
            raise SourceError(
                f"the program also takes {value!r}, which is no tensor",
                hint="Export a module that takes tensors only.",
            )
        free = tuple(axis for axis, size in enumerate(value.shape) if not isinstance(size, int))
        _check_free(name, free)
        shape = (1, *value.shape[1:]) if free else tuple(value.shape)
        ends.append((name, tuple(map(int, shape)), str(value.dtype).removeprefix("torch.")))
    return ends


def _output_shapes(
    model: Any, kind: ModelKind, ends: list[tuple[str, tuple[int, ...], str]]
) -> tuple[tuple[int, ...], ...]:
    import torch

    examples = [torch.zeros(shape, dtype=getattr(torch, dtype)) for _, shape, dtype in ends]
    module = model.module() if kind is ModelKind.EXPORTED_PROGRAM else model
    try:
        with torch.inference_mode():
            outputs = module(*examples)
    except Exception as error:  # the user's own model
        first = str(error).strip().rsplit("\n", 1)[-1]
        raise SourceError(
            f"the model does not take an input of shape {[list(s) for _, s, _ in ends]}: {first}",
            hint="Check --input-shape.",
        ) from error
    if isinstance(outputs, dict):
        outputs = tuple(outputs.values())
    found = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return tuple(tuple(output.shape) for output in found)


def _check_not_given(file: Path, input_shape: tuple[int, ...] | None, layout: str | None) -> None:
    for option, value in (("--input-shape", input_shape), ("--layout", layout)):
        if value is not None:
            raise SourceError(f"{file} records this itself", hint=f"Leave out {option}.")


def _check_free(name: str, free_axes: tuple[int, ...]) -> None:
    if free_axes not in ((), (0,)):
        raise SourceError(
            f"input {name} has the dynamic axes {', '.join(map(str, free_axes))}",
            hint="Export the model again with fixed shapes; only the batch may be dynamic.",
        )


def _by_channels(shape: tuple[int, ...]) -> str | None:
    if len(shape) != 4:
        return None
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    return "NCHW" if first and not last else "NHWC" if last and not first else None


def _nhwc(shape: tuple[int, ...]) -> str | None:
    return "NHWC" if len(shape) == 4 else None


def _input(name: str, shape: tuple[int, ...], dtype: str, layout: str | None) -> InputSpec:
    if dtype not in DTYPES:
        raise SourceError(
            f"input {name} is {dtype}; edgekit takes {', '.join(DTYPES)}",
            hint="Convert the model with one of these input types.",
        )
    return InputSpec(
        name=name,
        shape=shape,
        dtype=cast(Literal["float32", "int32", "int64", "uint8"], dtype),
        layout=cast(Literal["NCHW", "NHWC", "any"], layout or "any"),
    )
