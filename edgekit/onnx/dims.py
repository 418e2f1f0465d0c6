"""Inputs and outputs of an ONNX graph: what it states, and the sizes that a recipe fixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.errors import SourceError
from edgekit.onnx.model_file import require_onnx
from edgekit.onnx.ops import graphs
from edgekit.recipe.schema import InputSpec


@dataclass(frozen=True)
class End:
    """One input or output. ``shape`` has an int, a symbol or ``None`` (open without a name) an
    axis, and is ``None`` where not even the rank is stated. ``dtype`` is numpy's name, or says what
    else it is."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} {self.dtype} of any shape"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} [{sizes}]"


def graph_inputs(model: Any) -> tuple[End, ...]:
    """What has to be fed: an initializer that is listed as an input too has a value already."""
    known = {tensor.name for tensor in model.graph.initializer}
    known |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return tuple(_end(value) for value in model.graph.input if value.name not in known)


def graph_outputs(model: Any) -> tuple[End, ...]:
    """All outputs, in the file's order."""
    return tuple(map(_end, model.graph.output))


def with_ends(model: Any, inputs: Sequence[InputSpec], outputs: Sequence[str]) -> Any:
    """A copy of ``model`` with the shapes of ``inputs``, and of its outputs those named, in order.

    The inputs stand in the order given; an initializer is no longer an input as well. A symbol has
    one size wherever it stands. Shapes inside are inferred anew.

    Raises:
        SourceError: one symbol would need two sizes.
    """
    onnx = require_onnx()
    made = type(model)()
    made.CopyFrom(model)
    values = {value.name: value for value in model.graph.input}
    kept = {value.name: value for value in model.graph.output}
    sizes = _sizes(graph_inputs(model), inputs)
    del made.graph.input[:]
    for spec in inputs:
        value = made.graph.input.add()
        value.CopyFrom(values[spec.name])
        del value.type.tensor_type.shape.dim[:]
        for size in spec.shape:
            value.type.tensor_type.shape.dim.add(dim_value=size)
    del made.graph.output[:]
    made.graph.output.extend(kept[name] for name in outputs)
    for value in made.graph.output:
        _fix(value, sizes)
        _forget_open(value)
    for graph in graphs(made):
        for value in graph.value_info:
            _fix(value, sizes)
        stated = [value for value in graph.value_info if not _is_open(value)]
        del graph.value_info[:]
        graph.value_info.extend(stated)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def ends_fit(model: Any, inputs: Sequence[InputSpec], outputs: Sequence[str]) -> bool:
    """Whether the file has these inputs and outputs already, in this order and all sizes fixed."""
    return (
        [value.name for value in model.graph.input] == [spec.name for spec in inputs]
        and [value.name for value in model.graph.output] == list(outputs)
        and all(
            end.shape == tuple(spec.shape)
            for end, spec in zip(graph_inputs(model), inputs, strict=True)
        )
    )


def _sizes(ends: Iterable[End], inputs: Iterable[InputSpec]) -> dict[str, int]:
    """What each symbol becomes."""
    stated = {end.name: end.shape or () for end in ends}
    sizes: dict[str, int] = {}
    first: dict[str, str] = {}
    for spec in inputs:
        for symbol, size in zip(stated[spec.name], spec.shape, strict=False):
            if not isinstance(symbol, str):
                continue
            if sizes.setdefault(symbol, size) != size:
                raise SourceError(
                    f"the model's size {symbol!r} would be {sizes[symbol]} by the shape of "
                    f"{first[symbol]}, and {size} by that of {spec.name}",
                    hint="Correct the shapes in model.inputs.",
                )
            first.setdefault(symbol, spec.name)
    return sizes


def _fix(value: Any, sizes: Mapping[str, int]) -> None:
    for dim in _dims(value):
        if dim.dim_param in sizes:
            dim.dim_value = sizes[dim.dim_param]


def _forget_open(value: Any) -> None:
    """Names of sizes that only the inputs' own decide; shape inference puts numbers there."""
    for dim in _dims(value):
        if not dim.HasField("dim_value") or dim.dim_value < 0:
            dim.Clear()


def _is_open(value: Any) -> bool:
    shaped = value.type.tensor_type
    return not shaped.HasField("shape") or any(
        not dim.HasField("dim_value") or dim.dim_value < 0 for dim in _dims(value)
    )


def _dims(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


def _end(value: Any) -> End:
    onnx = require_onnx()
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        words = (kind or "nothing that is stated").removesuffix("_type").replace("_", " ")
        return End(value.name, words, None)
    element = value.type.tensor_type.elem_type
    if not value.type.tensor_type.HasField("shape"):
        return End(value.name, _dtype(onnx, element), None)
    return End(value.name, _dtype(onnx, element), tuple(map(_size, _dims(value))))


def _size(dim: Any) -> int | str | None:
    # Some exporters write -1 where ONNX wants a symbol or nothing.
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    return str(dim.dim_param) or None


def _dtype(onnx: Any, element: int) -> str:
    name = str(onnx.TensorProto.DataType.Name(element)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
