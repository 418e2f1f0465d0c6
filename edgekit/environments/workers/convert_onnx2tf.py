"""ONNX to float32 ``.tflite`` by onnx2tf and the TFLiteConverter of its TensorFlow."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from typing import Any, Dict, List, Tuple  # noqa: UP035 - workers run on Python 3.9 too

from protocol import Refused, serve

_SAMPLES_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"
_TO_LAST = [0, 2, 3, 1]
_MAX_RANK = 5
_HEADING = "Exception encountered when calling"


def work(request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """As in ``convert_onnx_tf``: ``model``, ``tflite``, ``channels_last``; ``kept`` are the inputs
    whose axes stay as they are."""
    clock = Clock()
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import onnx
    import onnx2tf
    import tensorflow as tf

    clock.lap("import")
    # onnx2tf looks for images here and downloads them otherwise; it compares layouts by them.
    samples = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    np.save(_SAMPLES_FILE, samples)
    # It writes the names that it gives to nodes into the file it was given.
    shutil.copy(request["model"], "model.onnx")
    try:
        model = onnx2tf.convert(
            input_onnx_file_path="model.onnx",
            output_folder_path="made",
            keep_shape_absolutely_input_names=request["kept"] or None,
            not_use_onnxsim=True,  # simplified already; it would start a program for it
            disable_model_save=True,
            non_verbose=True,
            verbosity="error",
        )
    except (Exception, SystemExit) as error:  # its operators raise anything
        raise refused(error) from error
    clock.lap("onnx2tf")
    orders = output_orders(np, onnx.load(request["model"]), model, request["channels_last"])
    clock.lap("orders")
    data = converted(tf, model, orders)
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


def refused(error: BaseException) -> Refused:
    """The node it fell over, from the innermost frame that has one."""
    cause = error.__context__ if isinstance(error, SystemExit) and error.__context__ else error
    op, layer = "", ""
    trace = cause.__traceback__
    while trace is not None:
        node = trace.tb_frame.f_locals.get("graph_node")
        if node is not None and hasattr(node, "op"):
            named = node.name or next((output.name for output in node.outputs), "")
            op, layer = str(node.op), re.sub("^wa/", "/", str(named))
        trace = trace.tb_next
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    # Keras says which layer was called first, and what went wrong in it next.
    lines = [line for line in lines if not line.startswith(_HEADING)] or lines
    kind = type(cause).__name__
    return Refused(f"{kind}: {lines[0]}" if lines else kind, op=op, layer=layer)


def output_orders(np: Any, onnx_model: Any, model: Any, channels_last: List[str]) -> List[Any]:  # noqa: UP006
    """For each output the permutation that makes of onnx2tf's axes the wanted ones, or None.

    onnx2tf decides by itself which outputs become channels-last, and shapes cannot always tell
    which did: so both models answer the same random input, and the nearest order is the one.
    """
    ranks = [len(output.shape) for output in model.outputs]
    if not any(3 <= rank <= _MAX_RANK for rank in ranks):
        return [None] * len(ranks)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(
        onnx_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    generator = np.random.default_rng(1)
    feeds, ours = {}, []
    for value, tensor in zip(session.get_inputs(), model.inputs):  # noqa: B905 - Python 3.9
        dtype = tensor.dtype.as_numpy_dtype
        feed = generator.random(value.shape).astype(dtype)
        feeds[value.name] = feed
        ours.append(feed.transpose(_TO_LAST) if value.name in channels_last else feed)
    wanted = session.run(None, feeds)
    found = model(ours if len(ours) > 1 else ours[0])
    found = found if isinstance(found, (list, tuple)) else [found]
    orders = []
    for want, have in zip(wanted, found):  # noqa: B905 - Python 3.9
        if channels_last and want.ndim == 4:
            want = want.transpose(_TO_LAST)
        orders.append(nearest_order(np, want, have.numpy()))
    return orders


def nearest_order(np: Any, want: Any, have: Any) -> Any:
    """The permutation of ``have`` nearest to ``want``; None if that is the axes as they are."""
    if want.ndim != have.ndim or not 3 <= want.ndim <= _MAX_RANK:
        return None
    fitting: List[Tuple[float, Tuple[int, ...]]] = []  # noqa: UP006
    for order in itertools.permutations(range(want.ndim)):
        turned = have.transpose(order)
        if turned.shape == want.shape:
            fitting.append((float(np.abs(turned.astype(np.float64) - want).sum()), order))
    if not fitting:
        return None
    # Of equals the first in lexical order: the axes as they are.
    best = min(fitting)[1]
    return None if best == tuple(range(want.ndim)) else list(best)


def converted(tf: Any, model: Any, orders: List[Any]) -> bytes:  # noqa: UP006
    """``model`` by TFLiteConverter, its outputs permuted by ``orders``, with TFLite's own operators
    alone. Of the concrete function: a Keras model would be saved first, which takes ten times as
    long and ends in the same bytes."""

    def call(*tensors: Any) -> Any:
        answers = model(list(tensors) if len(tensors) > 1 else tensors[0])
        answers = answers if isinstance(answers, (list, tuple)) else [answers]
        return tuple(
            answer if order is None else tf.transpose(answer, order)
            for answer, order in zip(answers, orders)  # noqa: B905 - Python 3.9
        )

    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"input_{index}")
        for index, tensor in enumerate(model.inputs)
    ]
    graph = tf.function(call, autograph=False).get_concrete_function(*specs)
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
        lines = re.findall(r"error: (.+)", str(error)) or [f"{type(error).__name__}: {error}"]
        raise Refused(f"TFLiteConverter refused it: {lines[0]}") from error


if __name__ == "__main__":
    serve(work)
