"""Everything an ``.onnx`` says of itself: operators, ends, weights, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import SourceError
from edgekit.onnx.facts import (
    compute_of,
    infer_shapes,
    multiply_accumulates,
    view_facts,
    views_of,
)
from edgekit.onnx.model_file import external_data, read_model, tensors
from edgekit.onnx.view import GraphView, Node
from edgekit.types import FileFacts, OperatorFact, QuantParams, TensorInfo

_VALUE_SHOWN = 60
"""Characters of a property's value; some hold whole files."""


def read_file_facts(file: Path) -> FileFacts:
    """The facts of ``file``; those of graphs inside its nodes are among its operators.

    Raises:
        SourceError: unreadable, no ONNX model, or weights in external files that are not there.
        MissingError: the package onnx is not installed.
    """
    model = read_model(file)
    external_data(model, file.parent, str(file))
    try:
        return _file_facts(model)
    except KeyError as error:  # of onnx's own table of element types
        raise SourceError(
            f"{file} is damaged: a tensor has the element type {error}, which there is not",
            hint="Copy or export the file again.",
        ) from error


def _file_facts(model: Any) -> FileFacts:
    main = GraphView(infer_shapes(model))
    return FileFacts(
        facts=view_facts(main),
        inputs=tuple(_ends(main, model.graph.input, main.inputs)),
        outputs=tuple(_ends(main, model.graph.output, main.outputs)),
        operators=tuple(
            _operator(view, node)
            for view in views_of(main)
            for node in view.nodes
            if node.op != "Constant"
        ),
        weights_bytes=sum(main.size_bytes(tensor) for tensor in tensors(model)),
        metadata=dict(_metadata(model)),
    )


def _ends(view: GraphView, infos: Any, names: tuple[str, ...]) -> Iterator[TensorInfo]:
    by_name = {info.name: info for info in infos}
    for name in names:
        sizes = by_name[name].type.tensor_type.shape.dim
        shape = tuple(size.dim_value if size.dim_value > 0 else -1 for size in sizes)
        yield TensorInfo(name, shape, view.dtype(name), _quant(view, name))


def _quant(view: GraphView, name: str) -> QuantParams | None:
    """Of an integer end: the scale of the conversion beside it."""
    import onnx

    if view.is_float(name):
        return None
    maker = view.maker(name)
    beside = [node for node in view.nodes if node.op == "DequantizeLinear" and name in node.inputs]
    if maker is not None and maker.op in ("QuantizeLinear", "QLinearConv", "QLinearMatMul"):
        beside.append(maker)
    for node in beside:
        constants: list[Any] = [view.constants.get(each) for each in node.inputs[-2:]]
        if len(node.inputs) > 2 and None not in constants:
            scale, zero_point = (onnx.numpy_helper.to_array(each) for each in constants)
            if scale.size == zero_point.size == 1:
                return QuantParams(float(scale.item()), int(zero_point.item()))
    return None


def _operator(view: GraphView, node: Node) -> OperatorFact:
    activations = tuple(name for name in node.inputs if name and name not in view.constants)
    held = [
        view.dtype(name)
        for name in node.inputs
        if (tensor := view.weight(name)) is not None and len(tensor.dims) > 1
    ]
    read = [view.dtype(name) for name in activations if view.weight(name) is None]
    wrote = [view.dtype(name) for name in node.outputs]
    factors = [", ".join(dict.fromkeys(read)), *dict.fromkeys(held)]
    return OperatorFact(
        op=node.op,
        layer=f"{view.prefix}{node.layer}",
        compute=compute_of(view, node),
        dtypes=f"{' x '.join(filter(None, factors)) or 'nothing'} -> "
        f"{', '.join(dict.fromkeys(wrote)) or 'nothing'}",
        macs=multiply_accumulates(view, node),
        reads=tuple(f"{view.prefix}{name}" for name in activations),
        writes=tuple(f"{view.prefix}{name}" for name in node.outputs),
    )


def _metadata(model: Any) -> Iterator[tuple[str, str]]:
    yield "ir version", str(model.ir_version)
    yield (
        "operator sets",
        ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import),
    )
    if model.producer_name:
        yield "producer", f"{model.producer_name} {model.producer_version}".strip()
    for entry in model.metadata_props:
        shown = (
            entry.value if len(entry.value) <= _VALUE_SHOWN else f"{len(entry.value)} characters"
        )
        yield entry.key, shown
