"""What an ``.onnx`` really is: which operators compute in float, how much of it is INT8.

A quantized file says so in one of two ways. Either its operators are integer ones (``QLinearConv``,
``MatMulInteger``), or they are float operators between ``DequantizeLinear`` and ``QuantizeLinear``,
which the runtime replaces by integer ones as it loads the file. It does that where

- the operator is one that it has an integer kernel for,
- every float tensor it reads, weights too, comes straight from a ``DequantizeLinear`` (a bias may
  be float where it is a constant),
- everything that reads its output is a ``QuantizeLinear``. MatMul and Gemm may also give float, and
  behind a MaxPool, Transpose or Reshape the runtime converts later instead.

Anything else computes in float, whatever stands around it: a ReduceMean between two conversions
does. Conversions themselves are judged by what lies between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from edgekit.onnx.model_file import read_model, require_onnx
from edgekit.onnx.ops import subgraphs
from edgekit.onnx.view import GraphView, Node
from edgekit.types import ArtefactFacts, FloatOp, ModuleFact, OperatorCompute

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_INTEGER_OPS = frozenset(
    {
        *("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
        *("QGemm", "QAttention", "DynamicQuantizeLSTM"),
    }
)
_DYNAMIC_OPS = frozenset(
    {"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}
)
_INTEGER_KERNELS = frozenset(
    {
        *("Conv", "MatMul", "Gemm", "Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat"),
        *("LeakyRelu", "Sigmoid", "Softmax", "Where", "Split", "MaxPool", "Resize", "Gather"),
        *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Expand"),
    }
)
_MAY_GIVE_FLOAT = frozenset({"MatMul", "Gemm", "MaxPool", "Transpose", "Reshape"})
_WEIGHTED = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Gather"),
        *("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
    }
)


def inspect(file: Path) -> ArtefactFacts:
    """The facts of an ``.onnx`` file, float or quantized; free sizes count as one.

    Raises:
        SourceError: it cannot be read as one.
        MissingError: the package onnx is not installed.
    """
    return model_facts(read_model(file))


def model_facts(model: Any) -> ArtefactFacts:
    """Collect the facts of a ``ModelProto``, of the graphs inside its nodes too; a loop's body
    counts once."""
    return view_facts(GraphView(infer_shapes(model)))


def view_facts(main: GraphView) -> ArtefactFacts:
    """As ``model_facts``, of a model whose shapes were inferred."""
    owned = [(view, node) for view in views_of(main) for node in view.nodes]
    computing = [(view, node) for view, node in owned if node.op != "Constant"]
    weighed = [
        (view, node, macs) for view, node in computing if (macs := multiply_accumulates(view, node))
    ]
    total = sum(macs for *_, macs in weighed)
    int8 = sum(macs for view, node, macs in weighed if _computes_in_int8(view, node))
    return ArtefactFacts(
        input_dtypes=tuple(main.dtype(name) for name in main.inputs),
        output_dtypes=tuple(main.dtype(name) for name in main.outputs),
        ops=len(computing),
        float_ops=tuple(
            FloatOp(node.op, f"{view.prefix}{node.layer}")
            for view, node in computing
            if computes_in_float(view, node)
        ),
        transposes=sum(node.op == "Transpose" for _, node in computing),
        macs=total,
        int8_mac_fraction=int8 / total if total else 0.0,
        modules=tuple(
            module for view, node in computing if (module := _module(view, node)) is not None
        ),
    )


def computes_in_float(view: GraphView, node: Node) -> bool:
    """Whether ``node`` reads or writes float values that no conversion of the runtime's takes
    away; see the text of this module."""
    if node.op in _CONVERSIONS or _is_integer_op(node) or _replaced(view, node):
        return False
    ends = (*node.inputs, *node.outputs)
    return any(view.is_float(name) for name in ends if name not in view.constants)


def compute_of(view: GraphView, node: Node) -> OperatorCompute:
    """How ``node`` computes once the runtime has loaded the file."""
    if node.op in _CONVERSIONS:
        return "conversion"
    if node.op in _DYNAMIC_OPS:
        return "int8 dynamic"
    if _computes_in_int8(view, node):
        return "int8"
    if not computes_in_float(view, node):
        return "integer"
    weights = [view.weight(name) for name in node.inputs] if node.op in _WEIGHTED else []
    integers = any(
        tensor is not None and len(tensor.dims) > 1 and view.integer_bits(tensor) is not None
        for tensor in weights
    )
    return "int8 weights" if integers else "float"


def _computes_in_int8(view: GraphView, node: Node) -> bool:
    return _is_integer_op(node) or _replaced(view, node)


def _is_integer_op(node: Node) -> bool:
    return node.op.startswith("QLinear") or node.op in _INTEGER_OPS


def _replaced(view: GraphView, node: Node) -> bool:
    """Whether the runtime puts an integer operator in the place of this float one."""
    if node.op not in _INTEGER_KERNELS:
        return False
    floats = [name for name in node.inputs if view.is_float(name)]
    if not floats or not any(view.is_float(name) for name in node.outputs):
        return False
    bias = node.inputs[2:3] if node.op in ("Conv", "Gemm") else ()
    if not all(
        view.maker_op(name) == "DequantizeLinear" or (name in bias and name in view.constants)
        for name in floats
    ):
        return False
    return node.op in _MAY_GIVE_FLOAT or all(
        reader == "QuantizeLinear" for name in node.outputs for reader in view.reader_ops(name)
    )


def _module(view: GraphView, node: Node) -> ModuleFact | None:
    """The node as a module, if it has constant weights of two axes or more."""
    if node.op not in _WEIGHTED:
        return None
    weights = [tensor for name in node.inputs if (tensor := view.weight(name)) is not None]
    main = [tensor for tensor in weights if len(tensor.dims) > 1]
    if not main:
        return None
    bits = view.integer_bits(main[0])
    name, size_bytes = f"{view.prefix}{node.layer}", sum(view.size_bytes(t) for t in weights)
    if bits is None:
        return ModuleFact(name, node.op, "float", size_bytes)
    if node.op in _DYNAMIC_OPS:
        return ModuleFact(name, node.op, "int8 dynamic", size_bytes, bits=bits)
    if _computes_in_int8(view, node):
        return ModuleFact(name, node.op, "int8", size_bytes, bits=bits)
    return ModuleFact(name, node.op, "int8 weights", size_bytes, bits=bits)


def multiply_accumulates(view: GraphView, node: Node) -> int:
    """Multiply-accumulates of one invocation; 0 for operators not listed or of unknown shape."""
    op = (
        node.op.removeprefix("QLinear")
        .removeprefix("Fused")
        .removesuffix("Integer")
        .removesuffix("IntegerToFloat")
    )
    first, second = (0, 3) if node.op in ("QLinearConv", "QLinearMatMul", "QGemm") else (0, 1)
    if not node.outputs or len(node.inputs) <= second:
        return 0
    data, weights = (view.shape(node.inputs[position]) for position in (first, second))
    out = view.shape(node.outputs[0])
    if op == "Conv" and weights and out:  # weights: [out, in / groups, ...]
        return prod(out) * prod(weights[1:])
    if op == "ConvTranspose" and weights and data:  # weights: [in, out / groups, ...]
        return prod(data) * prod(weights[1:])
    if op in ("MatMul", "Gemm", "QGemm", "DynamicQuantizeMatMul") and data and out:
        transposed = bool(node.attributes.get("transA", 0))
        return prod(out) * data[0 if transposed else -1]
    if op in ("LSTM", "DynamicQuantizeLSTM", "GRU", "RNN") and weights and data:
        return _recurrent_macs(view, node, data, weights)
    return 0


def _recurrent_macs(
    view: GraphView, node: Node, data: tuple[int, ...], weights: tuple[int, ...]
) -> int:
    """Both products of every step: ``data`` is [steps, batch, in], weights hold a matrix for each
    direction, those of DynamicQuantizeLSTM transposed."""
    recurrent = view.shape(node.inputs[2])
    return prod(data[:2]) * (prod(weights) + prod(recurrent or ()))


def views_of(view: GraphView) -> Iterator[GraphView]:
    """``view`` and those of the graphs inside its nodes."""
    yield view
    for node in view.nodes:
        for graph in subgraphs(node.proto):
            inner = view.inner(graph, f"{view.prefix}{node.layer}/")
            yield from views_of(inner)


def infer_shapes(model: Any) -> Any:
    """``model`` as it is where its shapes cannot be inferred: then less is known of it."""
    onnx = require_onnx()
    try:
        return onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, ValueError):
        return model
