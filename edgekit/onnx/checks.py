"""What is asked of every ONNX model before anything is made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import SourceError
from edgekit.onnx.model_file import require_onnx, tensors
from edgekit.onnx.ops import listed, nodes, operators
from edgekit.runtimes.cause import condensed_cause

MIN_OPSET = 7
"""What ONNX Runtime promises to run begins here; its own documentation says so."""

# ONNX's own, those for classical models, and what ONNX Runtime's optimizer writes.
_KNOWN_DOMAINS = frozenset({"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
_QUANTIZED = re.compile(
    r"QLinear.*|QGemm|QAttention|QMoE|.*Integer(ToFloat|Bias)?|(Dynamic|De)?QuantizeL.*"
    r"|MatMulNBits|MatMulBnb4|DynamicQuantize.*|GatherBlockQuantized"
)
_WEIGHTED = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LSTM", "GRU", "RNN"}
)


def check_versions(model: Any, name: str) -> None:
    """Refuse operator sets and formats that the installed onnx does not know, and ancient ones.

    Raises:
        SourceError: names both versions.
    """
    onnx = require_onnx()
    newest = onnx.defs.onnx_opset_version()
    opset = opset_of(model)
    if opset > newest:
        raise SourceError(
            f"{name} uses operator set {opset}; the installed onnx {onnx.__version__} knows up to "
            f"{newest}",
            hint="pip install -U onnx onnxruntime, or export the model with an older operator set.",
        )
    if not opset:
        raise SourceError(
            f"{name} does not say in which operator set of ONNX it is", hint="Export it again."
        )
    if opset < MIN_OPSET:
        raise SourceError(
            f"{name} uses operator set {opset}; ONNX Runtime begins at {MIN_OPSET}",
            hint="Export it again, or try onnx.version_converter.convert_version(model, 13).",
        )
    if model.ir_version > onnx.IR_VERSION:
        raise SourceError(
            f"{name} is written in version {model.ir_version} of the format; the installed onnx "
            f"{onnx.__version__} knows up to {onnx.IR_VERSION}",
            hint="pip install -U onnx onnxruntime, or export the model with an older onnx.",
        )


def opset_of(model: Any) -> int:
    """Version of ONNX's own operators in ``model``; 0 where it imports none."""
    own = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return int(max(own, default=0))


def check_domains(model: Any, name: str) -> None:
    """Refuse operators that are nobody's but their author's; functions in the file are fine.

    Raises:
        SourceError: names operators and layers.
    """
    defined = {(function.domain, function.name) for function in model.functions}
    foreign = [
        op
        for op in operators(model)
        if op.domain not in _KNOWN_DOMAINS and (op.domain, op.op) not in defined
    ]
    if foreign:
        raise SourceError(
            f"{name} has operators outside ONNX: {listed(foreign)}",
            hint="Export the model without custom operators: what computes them is not in the "
            "file.",
        )


def refuse_quantized(model: Any, name: str) -> None:
    """A quantized source would be quantized twice.

    Raises:
        SourceError: names operators and layers.
    """
    found = [op for op in operators(model) if _QUANTIZED.fullmatch(op.op)]
    if found:
        raise SourceError(
            f"{name} is quantized already: {listed(found)}", hint="Start from the float model."
        )


def check_structure(file: Path, name: str) -> None:
    """``onnx.checker`` on the file, which also looks into its external data.

    Raises:
        SourceError: a node or a tensor that is not as its operator set says.
    """
    onnx = require_onnx()
    try:
        onnx.checker.check_model(str(file))
    except Exception as error:  # C++ raises several types for what a file can hold
        cause = condensed_cause(str(error).replace(str(file), name).split("==>")[0])
        raise SourceError(
            f"{name} does not pass onnx.checker: {cause}", hint="Export the model again."
        ) from error


def check_finite(model: Any, folder: Path, name: str) -> None:
    """Refuse weights with NaN, and with infinity where they are multiplied with.

    An infinity elsewhere may be meant: the bounds of a Clip, the mask of an attention.

    Raises:
        SourceError: names the tensors.
    """
    weights = {
        source
        for node in nodes(model.graph.node)
        if node.op_type in _WEIGHTED
        for source in node.input[1:]
    }
    bad = []
    for tensor in tensors(model):
        array = _floats(tensor, folder, name)
        if array is None:
            continue
        if np.isnan(array).any() or (tensor.name in weights and not np.isfinite(array).all()):
            bad.append(tensor.name or "a constant")
    if bad:
        raise SourceError(
            f"the weights of {name} hold NaN or infinity: {listed(bad)}",
            hint="The training run diverged or the file was damaged; take an earlier checkpoint.",
        )


def _floats(tensor: Any, folder: Path, name: str) -> Any:
    onnx = require_onnx()
    floats = (tensor.FLOAT, tensor.DOUBLE, tensor.FLOAT16)
    if tensor.data_type not in floats:
        return None
    try:
        return onnx.numpy_helper.to_array(tensor, str(folder))
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"{name} is damaged: tensor {tensor.name} does not hold {list(tensor.dims)} numbers",
            hint="Copy or export the file again.",
        ) from error
