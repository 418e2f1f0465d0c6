"""What a run knows of its model, as the standard metadata of a .tflite file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.recipe.schema import InputSpec, PreprocessSpec, Recipe
from edgekit.runs.labels import Labels, check_label_count
from edgekit.sources.source import SourceModel
from edgekit.tflite.graph import Graph, Tensor, parse_graph, read_graph
from edgekit.tflite.kept import check_kept
from edgekit.tflite.metadata import (
    AudioContent,
    Colour,
    FeatureContent,
    ImageContent,
    ModelMetadata,
    Normalization,
    TensorMetadata,
)
from edgekit.tflite.metadata_read import read_metadata
from edgekit.tflite.metadata_write import with_metadata
from edgekit.types import Array, ModelKind

_PIXEL_MAX = 255.0
_COLOURS: dict[str, Colour] = {"RGB": "RGB", "GRAY": "GRAY", "BGR": "unknown"}


def finish_tflite(
    file: Path,
    recipe: Recipe,
    *,
    source: SourceModel,
    baseline: SourceModel,
    labels: Labels | None,
) -> None:
    """Check that the artefact at ``file`` kept the names of ``source``; then describe it in itself.

    Where the recipe says nothing, what a .tflite ``source`` says of itself stands.

    Raises:
        MismatchError: a name or the signature was lost.
        DataError: ``labels`` are not as many as the primary output's classes.
    """
    data = file.read_bytes()
    graph = parse_graph(data, file.name)
    signature, origin = recipe.model.signature, None
    if signature is None and baseline.kind is ModelKind.FLOAT_TFLITE:
        signature = read_graph(baseline.files["model"]).signature
    names = [spec.name for spec in source.inputs]
    check_kept(graph, inputs=names, outputs=source.outputs, signature=signature)
    if source.kind is ModelKind.FLOAT_TFLITE:
        origin = read_metadata(source.files["model"])
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(with_metadata(data, describe(graph, recipe, labels, origin)))
    os.replace(partial, file)


def describe(
    graph: Graph, recipe: Recipe, labels: Labels | None, origin: ModelMetadata | None = None
) -> ModelMetadata:
    """The metadata of a model with the ends of ``graph``; ``origin`` stands where nothing else is
    known.

    Raises:
        DataError: ``labels`` are not as many as the primary output's classes.
    """
    before = origin or ModelMetadata()
    primary = recipe.model.outputs[0]
    if labels is not None and primary in graph.output_names:
        check_label_count(labels, _tensor(graph, primary).shape[-1])
    known = {end.name: end for end in (*before.inputs, *before.outputs)}
    outputs = (known.get(name, TensorMetadata(name)) for name in graph.output_names)
    return ModelMetadata(
        name=recipe.name,
        description=recipe.summary or before.description,
        version=before.version,
        author=before.author,
        license=before.license,
        inputs=tuple(
            _input(known.get(name, TensorMetadata(name)), graph.tensors[index], recipe)
            for name, index in zip(graph.input_names, graph.inputs, strict=True)
        ),
        outputs=tuple(
            TensorMetadata(
                name=output.name,
                description=output.description,
                content=FeatureContent(),
                labels=labels.names if labels and output.name == primary else output.labels,
            )
            for output in outputs
        ),
    )


def _input(before: TensorMetadata, tensor: Tensor, recipe: Recipe) -> TensorMetadata:
    """``before`` is what the source said of it."""
    spec = next((spec for spec in recipe.model.inputs if spec.name == before.name), None)
    preprocess = recipe.preprocess
    described = TensorMetadata(before.name, before.description)
    if spec is not None and preprocess.kind == "image" and len(spec.shape) == 4:
        return _image(described, spec, tensor, preprocess)
    if preprocess.kind == "audio" and preprocess.sample_rate_hz is not None:
        return replace(described, content=AudioContent(preprocess.sample_rate_hz, channels=1))
    if preprocess.tokenizer is not None:
        file = preprocess.tokenizer.source.rsplit("/", 1)[-1].removeprefix("file:")
        return replace(described, description=f"{before.name} that the tokenizer in {file} gives")
    return described


def _image(
    described: TensorMetadata, spec: InputSpec, tensor: Tensor, preprocess: PreprocessSpec
) -> TensorMetadata:
    height, width = spec.shape[2:] if spec.layout == "NCHW" else spec.shape[1:3]
    colour = _COLOURS[preprocess.colour]
    described = replace(described, content=ImageContent(colour, width=width, height=height))
    if preprocess.colour == "BGR":
        described = replace(described, description="the channels are blue, green, red")
    if spec.dtype != "float32":  # pixels as they are: the model normalises them itself
        return replace(described, minimum=(0.0,), maximum=(_PIXEL_MAX,))
    mean, std = np.broadcast_arrays(preprocess.mean, preprocess.std)
    mean, std = mean * preprocess.divisor, std * preprocess.divisor
    return replace(
        described,
        normalization=Normalization(tuple(mean.tolist()), tuple(std.tolist())),
        minimum=_as_stored((0.0 - mean) / std, tensor),
        maximum=_as_stored((_PIXEL_MAX - mean) / std, tensor),
    )


def _as_stored(values: Array, tensor: Tensor) -> tuple[float, ...]:
    """Real ``values`` as an integer tensor holds them; one value where all are the same."""
    if tensor.scales and tensor.dtype != "float32":
        limits = np.iinfo(tensor.dtype)
        zero_point = tensor.zero_points[0] if tensor.zero_points else 0
        values = np.clip(np.rint(values / tensor.scales[0]) + zero_point, limits.min, limits.max)
    return tuple(values.tolist()) if len(set(values.tolist())) > 1 else (float(values[0]),)


def _tensor(graph: Graph, output: str) -> Tensor:
    return graph.tensors[graph.outputs[graph.output_names.index(output)]]
