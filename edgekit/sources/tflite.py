"""A float ``.tflite`` file as the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.cache import file_sha256
from edgekit.errors import SourceError
from edgekit.fetch import fetch
from edgekit.progress import Progress
from edgekit.recipe.schema import InputSpec, ModelSpec
from edgekit.runtimes import open_session
from edgekit.runtimes.session import Session
from edgekit.sources.source import SourceModel
from edgekit.tflite.graph import Graph, read_graph
from edgekit.types import ModelKind

QUANTIZED_DTYPES = frozenset({"int4", "int8", "uint8", "int16"})


def locate(spec: ModelSpec, base: Path | None, progress: Progress) -> SourceModel:
    """As ``sources.locate``; the graph's inputs and outputs are held against the recipe's."""
    if spec.file is None:
        raise SourceError("a tflite model needs model.file")
    file = fetch(spec.file, sha256=spec.sha256, base=base, progress=progress)
    graph = read_graph(file)
    refuse_quantized(graph, spec.file)
    check_ends(graph, spec)
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


def check_ends(graph: Graph, spec: ModelSpec) -> None:
    """Hold the recipe's inputs and outputs against the file's.

    Raises:
        SourceError: another number, name, shape or element type.
    """
    found = [
        (name, graph.tensors[i].shape, graph.tensors[i].dtype)
        for name, i in zip(graph.input_names, graph.inputs, strict=True)
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


def _inputs(ends: Sequence[tuple[str, tuple[int, ...], str]]) -> str:
    return "; ".join(f"{name} {list(shape)} {dtype}" for name, shape, dtype in ends)


def _open(source: SourceModel, threads: int) -> Session:
    return open_session(source.files["model"], threads=threads)
