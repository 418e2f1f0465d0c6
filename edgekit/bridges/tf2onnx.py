"""TensorFlow, Keras and float ``.tflite`` to ONNX by tf2onnx, channels-last as they are."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.bridges.tf2onnx_gelu import gelu_handlers
from edgekit.bridges.tf2onnx_order import ordered_sets
from edgekit.bridges.to_onnx import finish, open_onnx, refuse_opset
from edgekit.capture import captured_output
from edgekit.errors import ConversionError, EdgekitError
from edgekit.onnx.names import name_constants, name_layers
from edgekit.onnx.ops import operators
from edgekit.onnx.order import order_nodes
from edgekit.runtimes.cause import condensed_cause
from edgekit.sources.source import SourceModel
from edgekit.sources.tf_checks import tensorflow_version
from edgekit.tensorflow.convert_errors import untraceable
from edgekit.tensorflow.function import frozen, require_tensorflow
from edgekit.tflite.graph import parse_graph
from edgekit.tflite.names import tensorflow_layer, unique_names
from edgekit.tflite.rewrite import with_inputs_flattened
from edgekit.types import ModelKind

# Raise when what this module writes changes for the same input: cached models are then remade.
_REVISION = 3
# tf2onnx 1.17 knows no operator that came after 18.
_OPSETS = range(13, 19)
# tf2onnx numbers the tensors it adds, says which of two are outputs, and leaves TensorFlow's ":0".
_NUMBERED = re.compile(r"(?:_graph_outputs_Identity)?(?:__\d+)?(?::0)?$")
# TensorFlow numbers the functions of a loop or a branch by what it made before.
_FUNCTION = re.compile(r"(_(?:cond|body|true|false)(?:_frozen)?)_\d+")
_LOOP = "Loop"
_FAILED_NODE = re.compile(r"Failed to convert node '([^']+)'")


class Tf2Onnx:
    """Freezes the model's function, or reads the file, and translates operator by operator."""

    def version(self) -> str:
        tools = ", ".join(f"{tool} {version(tool)}" for tool in ("tf2onnx", "onnx", "onnxslim"))
        return f"{tools}, tensorflow {tensorflow_version()}, {_REVISION}"

    def convert(self, job: BridgeJob) -> Path:
        refuse_opset(job.onnx.opset, "tf2onnx", _OPSETS)
        if job.source.kind is ModelKind.FLOAT_TFLITE:
            model, layer = _from_file(job), _plain
        else:
            model, layer = _from_function(job), lambda name: tensorflow_layer(_plain(name))
        order_nodes(model)
        name_layers(model, lambda node: layer(node.name) or node.op_type)
        name_constants(model)
        return finish(job, model)

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return open_onnx(file, source)


def make() -> Bridge:
    return Tf2Onnx()


def _from_function(job: BridgeJob) -> Any:
    model = _traced(job, free_batch=job.onnx.free_batch)
    if _LOOP in _op_types(model):
        # tf2onnx knows an LSTM by how it asks for its batch; of a fixed one it makes a Loop.
        with suppress(ConversionError):
            other = _traced(job, free_batch=True)
            if _op_types(other).count(_LOOP) < _op_types(model).count(_LOOP):
                model = other
    return model


def _op_types(model: Any) -> list[str]:
    return [operator.op for operator in operators(model)]


def _traced(job: BridgeJob, *, free_batch: bool) -> Any:
    """The ``ModelProto``; its inputs have the recipe's shapes, whatever it was traced for."""
    source, tensorflow = job.source, require_tensorflow()
    with captured_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = frozen(source.value, source.inputs, source.outputs, free_batch=free_batch)
        except EdgekitError:
            raise
        except Exception as error:  # whatever the model's own code raises while it is traced
            raise untraceable(error) from error
    inputs = [tensor.name for tensor in graph.inputs]
    outputs = [tensor.name for tensor in graph.outputs]

    def converted() -> Any:
        from tf2onnx.tf_loader import tf_optimize

        definition = graph.graph.as_graph_def(add_shapes=True)
        _open_compiled(definition)
        with tensorflow.Graph().as_default():
            definition = tf_optimize(inputs, outputs, definition)
        with tensorflow.Graph().as_default() as imported:
            tensorflow.import_graph_def(definition, name="")
            return _translated(
                imported, opset=job.onnx.opset, input_names=inputs, output_names=outputs
            )

    return _in_order(_quietly(converted), inputs, outputs)


def _open_compiled(definition: Any) -> None:
    """Keras has XLA compile a grouped convolution as a function of its own, which TensorFlow then
    does not inline; nothing in ONNX could call it."""
    functions = definition.library.function
    for each in (*definition.node, *functions, *(n for f in functions for n in f.node_def)):
        for mark in ("_XlaMustCompile", "_noinline"):
            each.attr.pop(mark, None)


def _from_file(job: BridgeJob) -> Any:
    if job.onnx.free_batch:
        raise ConversionError(
            "the batch of a .tflite is fixed, and onnx.free_batch asks for an open one",
            hint="Leave out onnx.free_batch, or start from the model that the file was made of.",
        )
    require_tensorflow()
    source_file = job.source.files["model"]
    # tf2onnx knows tensors by their names.
    data = unique_names(with_inputs_flattened(source_file.read_bytes()))
    graph = parse_graph(data, source_file.name)
    inputs = [graph.tensors[index].name for index in graph.inputs]
    outputs = [graph.tensors[index].name for index in graph.outputs]
    file = job.folder / ".source.tflite"

    def converted() -> Any:
        import tensorflow

        with tensorflow.Graph().as_default():
            return _translated(
                None,
                opset=job.onnx.opset,
                tflite_path=str(file),
                input_names=inputs,
                output_names=list(dict.fromkeys(outputs)),
            )

    file.write_bytes(data)
    try:
        return _in_order(_quietly(converted), inputs, outputs)
    finally:
        file.unlink()


def _translated(graph: Any, **options: Any) -> Any:
    from tf2onnx import optimizer, utils
    from tf2onnx.tfonnx import process_tf_graph

    # Its counter of added tensors goes on from one model to the next: their names, and so the
    # bytes of the file, would hang on what was converted before.
    utils.INTERNAL_NAME = 1
    with ordered_sets():
        made = process_tf_graph(graph, custom_op_handlers=gelu_handlers(), **options)
        return optimizer.optimize_graph(made).make_model("edgekit")


def _in_order(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """``model`` with its ends in the order given; a tensor that is two outputs is there twice."""
    for ends, names in ((model.graph.input, inputs), (model.graph.output, outputs)):
        values = {value.name: value for value in ends}
        if missing := [name for name in names if name not in values]:
            raise ConversionError(f"tf2onnx lost {', '.join(missing)} of the model")
        ordered = [type(ends[0]).FromString(values[name].SerializeToString()) for name in names]
        del ends[:]
        ends.extend(ordered)
    return model


def _plain(name: str) -> str:
    return _FUNCTION.sub(r"\1", _NUMBERED.sub("", name))


def _quietly(converted: Callable[[], Any]) -> Any:
    """``converted()``, nothing printed.

    Raises:
        ConversionError: it failed; names the nodes, where tf2onnx did.
    """
    with _records() as records, captured_output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return converted()
        except EdgekitError:
            raise
        except Exception as error:  # tf2onnx asserts and raises what comes
            texts = [record.getMessage() for record in records]
            nodes = [node for text in texts for node in _FAILED_NODE.findall(text)]
            where = f" at {', '.join(dict.fromkeys(map(_plain, nodes)))}" if nodes else ""
            cause = condensed_cause(f"{type(error).__name__}: {error}")
            raise ConversionError(
                f"tf2onnx could not convert the model{where}: {cause}",
                hint="Replace these layers in the model, or choose a method that needs no ONNX.",
            ) from error


@contextmanager
def _records() -> Iterator[list[logging.LogRecord]]:
    """What tf2onnx logs while the block runs, kept from every other handler."""
    kept: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    logger, handler = logging.getLogger("tf2onnx"), Keeping(logging.WARNING)
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield kept
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
