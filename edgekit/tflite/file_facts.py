"""Everything a ``.tflite`` says of itself: operators, ends, weights, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import SourceError
from edgekit.tflite import flatbuffer
from edgekit.tflite.facts import computes_in_float, graph_facts
from edgekit.tflite.graph import Graph, Op, Tensor, parse_graph
from edgekit.tflite.metadata_read import read_metadata
from edgekit.types import FileFacts, OperatorCompute, OperatorFact, QuantParams, TensorInfo

RUNTIME_ENTRY = "min_runtime_version"
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_WEIGHTED = frozenset(
    {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"),
        *("BATCH_MATMUL", "EMBEDDING_LOOKUP"),
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "RNN", "SVDF"),
        *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
    }
)
_QUANTIZED = frozenset({"int8", "uint8", "int16"})
_WEIGHT_TYPES = frozenset({"int8", "uint8", "int4", "int2"})


def read_file_facts(file: Path) -> FileFacts:
    """The facts of ``file``; those of subgraphs that its operators call are among its operators.

    Raises:
        SourceError: unreadable, no ``.tflite``, or damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from error
    graph = parse_graph(data, str(file))
    model = flatbuffer.unpack(data, str(file))
    return FileFacts(
        facts=graph_facts(graph),
        inputs=_ends(graph, graph.inputs, graph.input_names),
        outputs=_ends(graph, graph.outputs, graph.output_names),
        operators=tuple(
            _operator(owner, op, "" if owner is graph else f"{owner.name}/")
            for owner in (graph, *graph.inner)
            for op in owner.ops
        ),
        weights_bytes=_weights_bytes(model),
        metadata=dict(_metadata(model, data, str(file))),
    )


def _ends(graph: Graph, indices: tuple[int, ...], names: tuple[str, ...]) -> tuple[TensorInfo, ...]:
    return tuple(
        _end(graph.tensors[index], name) for index, name in zip(indices, names, strict=True)
    )


def _end(tensor: Tensor, name: str) -> TensorInfo:
    shape = tuple(-1 if a in tensor.free_axes else n for a, n in enumerate(tensor.shape))
    quant = None
    if len(tensor.scales) == 1 and tensor.dtype in _QUANTIZED:
        quant = QuantParams(tensor.scales[0], tensor.zero_points[0] if tensor.zero_points else 0)
    return TensorInfo(name, shape, tensor.dtype, quant)


def _operator(graph: Graph, op: Op, prefix: str) -> OperatorFact:
    tensors = [graph.tensors[i] for i in op.inputs if i >= 0]
    return OperatorFact(
        op=op.name,
        layer=f"{prefix}{graph.layer(op)}",
        compute=_compute(graph, op, tensors),
        dtypes=_dtypes(graph, op, tensors),
        macs=op.macs,
        reads=tuple(f"{prefix}{tensor.name}" for tensor in tensors if not tensor.constant),
        writes=tuple(f"{prefix}{graph.tensors[i].name}" for i in op.outputs),
        version=op.version,
    )


def _compute(graph: Graph, op: Op, inputs: list[Tensor]) -> OperatorCompute:
    if op.name in _CONVERSIONS:
        return "conversion"
    weights = [tensor for tensor in inputs if tensor.constant and tensor.dtype in _WEIGHT_TYPES]
    if computes_in_float(graph, op):
        if op.name in _WEIGHTED and weights:
            return "int8 dynamic"
        unpacked = op.name in _WEIGHTED and any(_unpacked(graph, tensor) for tensor in inputs)
        return "int8 weights" if unpacked else "float"
    types = {tensor.dtype for tensor in graph.activations(op)}
    if "int16" in types:
        return "int16"
    return "int8" if types & {"int8", "uint8"} else "integer"


def _unpacked(graph: Graph, tensor: Tensor) -> bool:
    """Whether it is an integer constant that a DEQUANTIZE makes float as the model runs."""
    producer = graph.producer.get(tensor.index)
    if producer is None or producer.name != "DEQUANTIZE":
        return False
    source = graph.tensors[producer.inputs[0]]
    return source.constant and source.dtype in _WEIGHT_TYPES


def _dtypes(graph: Graph, op: Op, inputs: list[Tensor]) -> str:
    read = list(dict.fromkeys(tensor.dtype for tensor in inputs if not tensor.constant))
    held = [
        tensor.dtype
        for tensor in inputs
        if tensor.constant
        and (op.name == "DEQUANTIZE" or (len(tensor.shape) > 1 and op.name in _WEIGHTED))
    ]
    wrote = list(dict.fromkeys(graph.tensors[i].dtype for i in op.outputs))
    factors = [", ".join(read), *dict.fromkeys(held)]
    return f"{' x '.join(filter(None, factors)) or 'nothing'} -> {', '.join(wrote) or 'nothing'}"


def _weights_bytes(model: Any) -> int:
    """Of all constants; what several tensors share counts once."""
    held = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors or ()}
    contents = (model.buffers[index].data for index in held)
    return sum(len(content) for content in contents if content is not None)


def _free_text(words: bytes | str) -> str:
    """What nobody reads but people may be in any encoding."""
    return words if isinstance(words, str) else words.decode("utf-8", "replace")


def _metadata(model: Any, data: bytes, name: str) -> Iterator[tuple[str, str]]:
    if model.description:
        yield "description", _free_text(model.description)
    keys = [flatbuffer.text(one.signatureKey) for one in model.signatureDefs or ()]
    if keys:
        yield "signatures", ", ".join(keys)
    for entry in model.metadata or ():
        key = flatbuffer.text(entry.name)
        held = model.buffers[entry.buffer].data if 0 <= entry.buffer < len(model.buffers) else None
        content = b"" if held is None else bytes(held)
        if key == RUNTIME_ENTRY:
            yield key, content.split(b"\0")[0].decode("ascii", "replace")
        else:
            yield key, f"{len(content)} bytes"
    described = read_metadata(data, name)
    if described is not None:
        fields = ("name", "version", "author", "license")
        yield from (
            (f"model {field}", value) for field in fields if (value := getattr(described, field))
        )
        for tensor in described.outputs:
            if tensor.labels:
                yield "labels", f"{len(tensor.labels)} for {tensor.name or 'the output'}"
