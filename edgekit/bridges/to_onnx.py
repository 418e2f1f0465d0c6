"""What both bridges to ONNX do with the exporter's model: ends, names, checks, one clean file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import BridgeJob
from edgekit.errors import ConversionError
from edgekit.onnx.checks import opset_of
from edgekit.onnx.model_file import MAX_PROTOBUF_BYTES, require_onnx, with_layouts, write_model
from edgekit.onnx.names import forget_origin, name_ends
from edgekit.onnx.ops import graphs, listed, operators
from edgekit.onnx.simplify import inferred, simplified
from edgekit.recipe.schema import InputSpec
from edgekit.sources.source import SourceModel

FILE = "model.onnx"
_DOMAINS = ("", "ai.onnx")
_FIRST_STAND_IN = 1_000_003


def refuse_size(size_bytes: int) -> None:
    """An ``.onnx`` file is one protobuf message, and that ends at 2 GB.

    Raises:
        ConversionError: the weights alone are more.
    """
    if size_bytes > MAX_PROTOBUF_BYTES:
        raise ConversionError(
            f"the weights of the model are {size_bytes / 1e9:.1f} GB; an .onnx file ends at 2 GB",
            hint="Choose a method that needs no ONNX, or export the model by parts.",
        )


def refuse_opset(opset: int | None, exporter: str, opsets: range) -> None:
    """Hold ``onnx.opset`` against what the exporter can write.

    Raises:
        ConversionError: names the range.
    """
    if opset is not None and opset not in opsets:
        raise ConversionError(
            f"{exporter} writes operator sets {opsets[0]} to {opsets[-1]}, not {opset}",
            hint="Correct onnx.opset in the recipe, or leave it out.",
        )


def finish(job: BridgeJob, model: Any) -> Path:
    """Name the ends of ``model`` as the source's, strip it of its origin, check, simplify, write.

    Raises:
        ConversionError: other inputs or outputs than the recipe's, an operator that ONNX does not
            have, or what onnx.checker refuses.
    """
    source = job.source
    written = opset_of(model)
    if job.onnx.opset not in (None, written):
        raise ConversionError(
            f"the exporter wrote operator set {written} instead of {job.onnx.opset}: some operator "
            "of the model cannot be said in that one",
            hint="Correct onnx.opset in the recipe, or leave it out.",
        )
    try:
        name_ends(model, [spec.name for spec in source.inputs], source.outputs)
    except ValueError as error:
        raise ConversionError(
            f"the converted model has other inputs or outputs than the recipe: {error}",
            hint="Correct model.inputs or model.outputs in the recipe.",
        ) from error
    forget_origin(model)
    _refuse_foreign(model)
    _forget_domains(model)
    _fix_shapes(model, job)
    made = with_layouts(_with_batches(simplified(model, job.progress)), source.inputs)
    refuse_size(made.ByteSize())
    file = job.folder / FILE
    write_model(made, file)
    return file


def open_onnx(file: Path, source: SourceModel) -> SourceModel:
    """What ``Bridge.open`` returns: layouts and names are those of ``source``."""
    from edgekit.sources.onnx import onnx_model

    return onnx_model(file, source.inputs, source.outputs)


def batch_symbol(spec: InputSpec, inputs: tuple[InputSpec, ...]) -> str:
    """What an open first axis is called: ``batch``; where it has another size than the first
    input's, a symbol of its own, for it is no batch of the same samples then."""
    size = next(entry.shape[0] for entry in inputs if entry.shape)
    return "batch" if spec.shape[0] == size else f"batch_{spec.shape[0]}"


def _forget_domains(model: Any) -> None:
    """An exporter imports what it might have needed; a reader may know less."""
    used = {"", *(op.domain for op in operators(model))}
    used |= {op.domain for function in model.functions for op in function.opset_import}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    for domain, number in versions.items():
        if domain in used:
            model.opset_import.add(domain=domain, version=number)


def _fix_shapes(model: Any, job: BridgeJob) -> None:
    """State the recipe's shapes, or the open batch, at the inputs; all others follow from these."""
    for value, spec in zip(model.graph.input, job.source.inputs, strict=True):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in spec.shape:
            shape.dim.add(dim_value=size)
        if job.onnx.free_batch and spec.shape:
            shape.dim[0].dim_param = batch_symbol(spec, job.source.inputs)
    for value in model.graph.output:
        for size in value.type.tensor_type.shape.dim:
            if size.HasField("dim_param"):
                size.Clear()
    for graph in graphs(model):
        del graph.value_info[:]


def _with_batches(model: Any) -> Any:
    """``model`` with open axes of its outputs called as those of the inputs that they equal.

    Shape inference loses a symbol in a Reshape to "what is left", and invents another. A number in
    its place comes through.
    """
    symbols = dict.fromkeys(
        size.dim_param
        for value in model.graph.input
        for size in value.type.tensor_type.shape.dim
        if size.dim_param
    )
    if not symbols:
        return model
    stand_ins = {symbol: _FIRST_STAND_IN + index for index, symbol in enumerate(symbols)}
    fixed, made = type(model)(), type(model)()
    fixed.CopyFrom(model)
    made.CopyFrom(model)
    for graph in graphs(fixed):
        del graph.value_info[:]
    for value in (*fixed.graph.input, *fixed.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in stand_ins:
                size.dim_value = stand_ins[size.dim_param]
            elif size.dim_param:
                size.Clear()
    found = {number: symbol for symbol, number in stand_ins.items()}
    for value, sized in zip(made.graph.output, inferred(fixed).graph.output, strict=True):
        dims = value.type.tensor_type.shape.dim, sized.type.tensor_type.shape.dim
        for size, number in zip(*dims, strict=True):
            if number.dim_value in found:
                size.dim_param = found[number.dim_value]
    return made


def _refuse_foreign(model: Any) -> None:
    """An exporter may leave an operator as it is where it knows no other."""
    onnx = require_onnx()
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    defined = {(function.domain, function.name) for function in model.functions}
    foreign = [
        op
        for op in operators(model)
        if (op.domain, op.op) not in defined
        and not (
            op.domain in _DOMAINS and onnx.defs.has(op.op, versions.get(op.domain or "ai.onnx", 1))
        )
    ]
    if foreign:
        raise ConversionError(
            f"ONNX has no operator for {listed(foreign)}",
            hint="Replace these layers in the model, or leave them to the app.",
        )
