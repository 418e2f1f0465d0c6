"""A float ONNX model in the form that it is quantized in, the same bytes wherever it is done.

Batch normalization is folded into convolutions and constants are computed, by the optimizations of
ONNX Runtime that hold on any machine ("basic"); those for one processor stay out of the file.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.onnx.checks import opset_of
from edgekit.onnx.constants import tensor_names, unique_name
from edgekit.onnx.gemm import plain_gemms
from edgekit.onnx.model_file import (
    MAX_PROTOBUF_BYTES,
    external_data,
    read_model,
    require_onnx,
    tensors,
)
from edgekit.onnx.names import rename_tensors
from edgekit.onnx.newer_opset import raised
from edgekit.onnx.ops import listed, nodes
from edgekit.onnx.shapes import with_shapes
from edgekit.runtimes.cause import condensed_cause

MIN_OPSET = 13
"""Since then QuantizeLinear and DequantizeLinear know channels."""
_ADDED = re.compile(r"(.+?)_(scale|zero_point|quantized|(De)?[Qq]uantize.*)")


def prepared(file: Path) -> tuple[Any, tuple[str, ...]]:
    """The ``ModelProto``, every node with a name of its own and every shape inferred; and what was
    done to it that a person should know.

    Raises:
        ConversionError: float16 inside, over 2 GB with its external data, or an operator set that
            cannot be brought up to 13.
        SourceError: no ONNX model.
    """
    model = read_model(file)
    _refuse_float16(model, file.name)
    with tempfile.TemporaryDirectory(prefix="edgekit-onnx-") as temporary:
        folder = Path(temporary)
        start = _in_one_file(model, file, folder)
        done: tuple[str, ...] = ()
        if opset_of(model) < MIN_OPSET:
            done = (f"operator set {opset_of(model)} brought up to {MIN_OPSET}",)
            newer = raised(require_onnx().load(start), MIN_OPSET)
            start = folder / "newer.onnx"
            require_onnx().save_model(newer, start)
        made = _optimized(start, folder / "basic.onnx", file.name)
    _drop_unused_opsets(made)
    _name_nodes(made)
    made = with_shapes(made, file.name)
    plain_gemms(made)
    _free_names(made)
    return with_shapes(made, file.name), done


def _refuse_float16(model: Any, name: str) -> None:
    half = [tensor.name for tensor in tensors(model) if tensor.data_type == tensor.FLOAT16]
    if half:
        raise ConversionError(
            f"{name} holds float16 weights: {listed(half)}",
            hint="Export the model in float32: INT8 starts from there.",
        )


def _in_one_file(model: Any, file: Path, folder: Path) -> Path:
    """``file``, or a copy that holds its external data: ONNX Runtime would write paths to these
    files, which lead nowhere from another folder."""
    data = external_data(model, file.parent, file.name)
    if not data:
        return file
    size_bytes = file.stat().st_size + sum(path.stat().st_size for path in data.values())
    if size_bytes > MAX_PROTOBUF_BYTES:
        raise ConversionError(
            f"{file.name} and its weights have {size_bytes / 1e9:.1f} GB; INT8 is made of a model "
            "in one protobuf message, which ends at 2 GB",
            hint="Split the model, and quantize its parts.",
        )
    onnx = require_onnx()
    whole = folder / "whole.onnx"
    onnx.save_model(onnx.load(file), whole)
    return whole


def _optimized(file: Path, made: Path, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(made)
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        with captured_output():
            onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise ConversionError(
            f"ONNX Runtime cannot prepare {name}: "
            f"{condensed_cause(str(error).replace(str(file), name))}"
        ) from error
    return require_onnx().load(made)


def _drop_unused_opsets(model: Any) -> None:
    """ONNX Runtime writes down every set it knows; other tools stop at those they do not."""
    used = {"" if node.domain == "ai.onnx" else node.domain for node in nodes(model.graph.node)}
    kept = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _name_nodes(model: Any) -> None:
    """Rules and the quantizer tell nodes by name."""
    taken: set[str] = set()
    for node in nodes(model.graph.node):
        base = node.name or next((name for name in node.output if name), node.op_type)
        name, count = base, 2
        while name in taken:
            name, count = f"{base}:{count}", count + 1
        node.name = name
        taken.add(name)


def _free_names(model: Any) -> None:
    """The quantizers call what they add after the tensor it is for: a weight that the model itself
    calls ``w_scale``, beside another called ``w``, gives way."""
    taken = tensor_names(model)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    renamed = {}
    for name in sorted(taken - ends):
        match = _ADDED.fullmatch(name)
        if match and match[1] in taken:
            renamed[name] = unique_name(f"{name}_own", taken)
    rename_tensors(model, renamed)
