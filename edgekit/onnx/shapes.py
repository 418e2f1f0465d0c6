"""Types and shapes inside a graph, of operators that onnx itself does not know too."""

from __future__ import annotations

from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.onnx.model_file import MAX_PROTOBUF_BYTES, require_onnx
from edgekit.runtimes.cause import condensed_cause

_ONNX_DOMAINS = ("", "ai.onnx")


def with_shapes(model: Any, name: str) -> Any:
    """A copy of ``model`` with every type and shape in it that can be inferred.

    onnx infers nothing behind an operator of ONNX Runtime's own, such as com.microsoft.Gelu: there
    the runtime is asked.

    Raises:
        ConversionError: the shapes contradict each other; ``name`` is what the user calls the file.
    """
    made = _inferred(model, name)
    if any(node.domain not in _ONNX_DOMAINS for node in made.graph.node):
        made.graph.value_info.extend(_told_by_runtime(made))
        made = _inferred(made, name)
    return made


def empty_tensors(model: Any) -> set[str]:
    """Names of the tensors that hold no numbers, for an axis of size zero."""
    graph = model.graph
    found = {tensor.name for tensor in graph.initializer if 0 in tensor.dims}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in dims):
            found.add(value.name)
    return found


def only_the_runtimes(model: Any) -> None:
    """Forget in place what onnx can infer again: in a small model it weighs as much as a layer."""
    kept = {
        name
        for node in model.graph.node
        if node.domain not in _ONNX_DOMAINS
        for name in node.output
    }
    stated = [value for value in model.graph.value_info if value.name in kept]
    del model.graph.value_info[:]
    model.graph.value_info.extend(stated)


def _inferred(model: Any, name: str) -> Any:
    onnx = require_onnx()
    try:
        with captured_output():
            return onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError as error:
        raise ConversionError(
            f"the shapes of {name} cannot be inferred: {condensed_cause(str(error))}",
            hint="Export the model with fixed shapes.",
        ) from error


def _told_by_runtime(model: Any) -> list[Any]:
    """What ONNX Runtime says of the tensors that have no type yet: it tells those of outputs."""
    import onnxruntime

    onnx = require_onnx()
    graph = model.graph
    known = {value.name for value in (*graph.value_info, *graph.output)}
    open_ = [name for node in graph.node for name in node.output if name and name not in known]
    asked = type(model)()
    asked.CopyFrom(model)
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in open_)
    if asked.ByteSize() > MAX_PROTOBUF_BYTES:
        return []
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    with captured_output():
        session = onnxruntime.InferenceSession(
            asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    kinds = {f"tensor({name.lower()})": code for name, code in onnx.TensorProto.DataType.items()}
    return [
        onnx.helper.make_tensor_value_info(end.name, kinds[end.type], end.shape)
        for end in session.get_outputs()
        if end.name in open_ and end.type in kinds
    ]
