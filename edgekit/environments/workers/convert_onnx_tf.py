"""ONNX to float32 ``.tflite`` by onnx-tf and the TFLiteConverter of its TensorFlow."""

from __future__ import annotations

import re
import time
import warnings
from typing import Any, Dict, List, Tuple  # noqa: UP035 - workers run on Python 3.9 too

from protocol import Refused, serve

_TO_LAST = {4: [0, 2, 3, 1]}
_TO_FIRST = {4: [0, 3, 1, 2]}


def work(request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """``model`` is read, ``tflite`` is written; inputs in ``channels_last`` are taken as NHWC, and
    if there are any, outputs with four axes are given as NHWC. Answers with the seconds of each
    step. The ends stand in the order of the ONNX model's, under names of the converter's."""
    clock = Clock()
    warnings.simplefilter("ignore")
    import onnx
    import tensorflow as tf
    from onnx_tf.backend import TensorflowBackend

    clock.lap("import")
    entered: List[Tuple[str, str]] = []  # noqa: UP006
    backend = named_backend(TensorflowBackend, tf, onnx.numpy_helper, entered)
    model = onnx.load(request["model"])
    pad_channels_last(tf)
    try:
        graph = traced(tf, backend, model, request["channels_last"])
    except Exception as error:  # handlers raise whatever they meet
        op, layer = entered[-1] if entered else ("", "")
        raise Refused(said(error), op=op, layer=layer) from error
    clock.lap("onnx_tf")
    data = converted(tf, graph)
    clock.lap("tflite")
    with open(request["tflite"], "wb") as file:
        file.write(data)
    return {"seconds": clock.laps}


class Clock:
    """Seconds of each step, one after the other."""

    def __init__(self) -> None:
        self.laps: Dict[str, float] = {}  # noqa: UP006
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def named_backend(base: Any, tf: Any, numpy_helper: Any, entered: List[Tuple[str, str]]) -> Any:  # noqa: UP006
    """onnx-tf's backend, whose operators carry the names of their nodes. ``entered`` gets every
    node that is begun, so its last is the one that failed."""

    class NamedBackend(base):  # type: ignore[misc]
        @classmethod
        def _onnx_node_to_tensorflow_op(cls, node: Any, *args: Any, **kwargs: Any) -> Any:
            entered.append((node.op_type, node.name or next(iter(node.outputs), "")))
            # TensorFlow allows few characters in a scope, and none but a letter or digit first.
            scope = re.sub(r"[^A-Za-z0-9_.\-/]", "_", node.name).strip("/_.-")
            with tf.name_scope(scope or node.op_type):
                return super()._onnx_node_to_tensorflow_op(node, *args, **kwargs)

        @classmethod
        def _onnx_initializer_to_input_dict_items(
            cls, initializer: Any, training_mode: bool = False
        ) -> Any:
            # onnx-tf's own goes through lists of Python floats: 8 times the memory, and slow.
            return [(each.name, tf.constant(numpy_helper.to_array(each))) for each in initializer]

    return NamedBackend


def pad_channels_last(tf: Any) -> None:
    """Let onnx-tf pad before a convolution or a pooling in NHWC, between two transposes that cancel
    against those around it; in NCHW, as it does by itself, they stay in the graph."""
    from onnx_tf.handlers.backend.pad_mixin import PadMixin

    def get_padding_as_op(cls: Any, x: Any, pads: Any) -> Any:
        rank = len(x.shape)
        half = len(pads) // 2
        last = [0, *range(2, rank), 1]
        first = [0, rank - 1, *range(1, rank - 1)]
        amounts = [[0, 0], *([pads[i], pads[half + i]] for i in range(half)), [0, 0]]
        return tf.transpose(tf.pad(tf.transpose(x, last), amounts), first)

    PadMixin.get_padding_as_op = classmethod(get_padding_as_op)


def traced(tf: Any, backend: Any, model: Any, channels_last: List[str]) -> Any:  # noqa: UP006
    """A concrete function whose inputs and outputs are the ONNX model's, in order."""
    rep = backend.prepare(model, logging_level="ERROR")
    module = rep.tf_module
    module.is_export = True  # outputs then have the shapes that the model states
    specs = []
    for name in rep.inputs:
        spec = rep.signatures[name]
        shape = spec.shape.as_list()
        if name in channels_last:
            shape = [shape[axis] for axis in _TO_LAST[4]]
        specs.append(tf.TensorSpec(shape, spec.dtype, name=name))

    def call(*tensors: Any) -> Any:
        feeds = {
            name: tf.transpose(tensor, _TO_FIRST[4]) if name in channels_last else tensor
            for name, tensor in zip(rep.inputs, tensors)  # noqa: B905 - Python 3.9
        }
        answers = module(**feeds)
        found = [answers[name] for name in rep.outputs]
        if channels_last:
            found = [
                tf.transpose(answer, _TO_LAST[4]) if len(answer.shape) == 4 else answer
                for answer in found
            ]
        return tuple(found)

    return tf.function(call, autograph=False).get_concrete_function(*specs)


def converted(tf: Any, graph: Any) -> bytes:
    """``graph`` by TFLiteConverter, with TFLite's own operators alone."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return bytes(converter.convert())
    except Exception as error:  # ConverterError, and more from its depths
        found = {
            entry.operator.name.split(".")[-1]
            for entry in getattr(error, "errors", ())
            if entry.operator.name
        }
        if found:
            raise Refused(
                f"TFLite has no operator for TensorFlow's {', '.join(sorted(found))}"
            ) from error
        errors = re.findall(r"error: (.+)", str(error))
        raise Refused(f"TFLiteConverter refused it: {errors[0] if errors else said(error)}") from (
            error
        )


def said(error: BaseException) -> str:
    """The last line: AutoGraph puts a traceback before what a handler raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    return (
        f"{kind}: {lines[-1]}"
        if lines and not lines[-1].startswith(kind)
        else lines[-1]
        if lines
        else kind
    )


if __name__ == "__main__":
    serve(work)
