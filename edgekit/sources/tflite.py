"""A float ``.tflite`` file as the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.errors import SessionError, SourceError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.session import Session
from edgekit.sources.source import SourceModel
from edgekit.tflite import flatbuffer
from edgekit.tflite.graph import Graph, parse_graph
from edgekit.tflite.metadata_read import read_metadata
from edgekit.tflite.signatures import with_input_shapes, with_signature
from edgekit.types import ModelKind

QUANTIZED_DTYPES = frozenset({"int4", "int8", "uint8", "int16"})
_NO_NUMBERS = frozenset({"string", "resource", "variant"})


def locate(spec: ModelSpec, base: Path | None, progress: Progress, cache: Cache) -> SourceModel:
    """As ``sources.locate``; the graph's inputs and outputs are held against the recipe's, and the
    model is run once in a child process, so that no later stage meets a file that crashes it."""
    if spec.file is None:
        raise SourceError("a tflite model needs model.file")
    file = fetch(spec.file, sha256=spec.sha256, base=base, progress=progress)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from error
    made = with_signature(data, spec.signature, spec.file)
    graph = parse_graph(made, spec.file)
    read_metadata(made, spec.file)  # damage there is said now, not after quantizing
    refuse_quantized(graph, spec.file)
    refuse_ends_without_numbers(graph, spec.file)
    check_ends(graph, spec)
    made = _with_sizes(made, graph, spec.inputs)
    if made is not data:
        file = _stored(made, file.name, cache)
    _try_out(file, graph, spec)
    return float_tflite(file, spec.inputs, spec.outputs)


def float_tflite(
    file: Path, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]
) -> SourceModel:
    """The float channels-last ``.tflite`` at ``file``, where every ``.tflite`` target meets."""
    return SourceModel(
        kind=ModelKind.FLOAT_TFLITE,
        inputs=inputs,
        outputs=outputs,
        fingerprint=file_sha256(file),
        files={"model": file},
        loader=lambda: file,
        opener=_open,
    )


def refuse_quantized(graph: Graph, name: str) -> None:
    """A quantized source would be quantized twice.

    Raises:
        SourceError: the graph has integer weights or quantized inputs.
    """
    found = [
        tensor.name
        for tensor in graph.tensors
        if tensor.scales and tensor.dtype in QUANTIZED_DTYPES
    ]
    if found:
        raise SourceError(
            f"{name} is quantized already: {len(found)} of its {len(graph.tensors)} tensors, "
            f"the first is {found[0]}",
            hint="Start from the float model.",
        )


def refuse_ends_without_numbers(graph: Graph, name: str) -> None:
    """Texts and handles cannot be fed to a model or compared.

    Raises:
        SourceError: names the input or output.
    """
    for what, names, indices in (
        ("input", graph.input_names, graph.inputs),
        ("output", graph.output_names, graph.outputs),
    ):
        for end, index in zip(names, indices, strict=True):
            if graph.tensors[index].dtype in _NO_NUMBERS:
                raise SourceError(
                    f"{what} {end} of {name} holds {graph.tensors[index].dtype} values, no numbers",
                    hint="Leave that part of the model to the app, and convert the rest.",
                )


def check_ends(graph: Graph, spec: ModelSpec) -> None:
    """Hold the recipe's inputs and outputs against the file's; sizes it leaves open may be any.

    Raises:
        SourceError: another number, name, shape or element type.
    """
    sizes = {entry.name: entry.shape for entry in spec.inputs}
    found = [
        (name, _resolved(graph, index, sizes.get(name, ())), graph.tensors[index].dtype)
        for name, index in zip(graph.input_names, graph.inputs, strict=True)
    ]
    wanted = [(entry.name, entry.shape, entry.dtype) for entry in spec.inputs]
    if found != wanted:
        raise SourceError(
            f"model.inputs says {_inputs(wanted)}, but {spec.file} has {_inputs(found)}",
            hint="Write the file's inputs into the recipe, or run: edgekit init " + str(spec.file),
        )
    if graph.output_names != spec.outputs:
        raise SourceError(
            f"model.outputs says {', '.join(spec.outputs)}, "
            f"but {spec.file} has {', '.join(graph.output_names)}"
        )


def _resolved(graph: Graph, index: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """The shape of an input, sizes it leaves open taken from ``wanted``."""
    tensor = graph.tensors[index]
    if len(wanted) != len(tensor.shape):
        return tensor.shape
    return tuple(
        wanted[axis] if axis in tensor.free_axes else size for axis, size in enumerate(tensor.shape)
    )


def _with_sizes(data: bytes, graph: Graph, inputs: tuple[InputSpec, ...]) -> bytes:
    """``data`` with the recipe's sizes where the file leaves them open; a batch of one stays so."""
    other = {
        index: spec.shape
        for index, spec in zip(graph.inputs, inputs, strict=True)
        if graph.tensors[index].shape != spec.shape
    }
    return with_input_shapes(data, other) if other else data


def _stored(data: bytes, name: str, cache: Cache) -> Path:
    key = content_key({"data": data, "name": name})
    entry = cache.get_or_make("tflite", key, lambda folder: _write(folder / name, data))
    return entry.path / name


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def _try_out(file: Path, graph: Graph, spec: ModelSpec) -> None:
    """Load the file and run it on zeros in a child process.

    Raises:
        SourceError: it fails, hangs or crashes the interpreter; names operators of nobody's.
    """
    zeros = {entry.name: np.zeros(entry.shape, entry.dtype) for entry in spec.inputs}
    try:
        with open_session(file, isolated=True) as session:
            session.run(zeros)
    except SessionError as error:
        builtin = set(flatbuffer.enum_names("BuiltinOperator").values())
        own = [f"{op.name} at {graph.layer(op)}" for op in graph.ops if op.name not in builtin]
        custom = f"; it has custom operators: {', '.join(own)}" if own else ""
        raise SourceError(
            f"{spec.file} does not run: {error.message}{custom}",
            hint="Convert the model with TFLite's built-in operators alone."
            if own
            else "Copy or convert the file again.",
        ) from error


def _inputs(ends: Sequence[tuple[str, tuple[int, ...], str]]) -> str:
    return "; ".join(f"{name} {list(shape)} {dtype}" for name, shape, dtype in ends)


def _open(source: SourceModel, threads: int) -> Session:
    return open_session(source.files["model"], threads=threads)
