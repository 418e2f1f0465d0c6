"""TFLiteConverter called directly: one plain script, without edgekit, for a job in a JSON file.

Each way is what TensorFlow's own guide to post-training quantization shows, and no more.
``python -m benchmarks.direct_tf JOB.json FOLDER`` leaves in FOLDER each way's WAY.tflite, its
answers as WAY.npz (float.npz: the model's own in TensorFlow), one float32 array [N, ...] an output,
and result.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.direct import Job

Feeds = dict[str, np.ndarray]
"""Of one call, by input name, batch of one."""


def main(job_file: str, folder: str) -> None:
    job, out = json.loads(Path(job_file).read_text()), Path(folder)
    calibration, evaluation = (read_feeds(job, part) for part in ("calibration", "evaluation"))
    model = load_model(job)
    np.savez(out / "float.npz", **run_model(job, model, evaluation))
    result: dict[str, Any] = {"ways": {}}
    for name in job["ways"]:
        converter = WAYS[name](job, model, calibration)
        start = time.perf_counter()
        data = converter.convert()
        seconds = time.perf_counter() - start
        file = out / f"{name}.tflite"
        file.write_bytes(data)
        result["ways"][name] = {"bytes": len(data), "seconds": seconds, "failed": None}
        try:
            np.savez(out / f"{name}.npz", **run_tflite(file, job, evaluation))
        except RuntimeError as error:  # a file that converts may still fail on some sample
            result["ways"][name]["failed"] = str(error)
    if job["peer"] is not None:
        file = Path(job["peer"])
        np.savez(out / "peer.npz", **run_tflite(file, job, evaluation))
        result["ways"]["peer"] = {
            "bytes": file.stat().st_size,
            "seconds": None,
            "failed": None,
        }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def read_feeds(job: Job, part: str) -> list[Feeds]:
    """Every sample of ``part``."""
    with np.load(job[part]) as arrays:
        whole = {name: arrays[name] for name in job["inputs"]}
    count = len(next(iter(whole.values())))
    return [{name: whole[name][i : i + 1] for name in whole} for i in range(count)]


def load_model(job: Job) -> Any:
    """The SavedModel, or the Keras model by the library that wrote its file."""
    import importlib

    import tensorflow as tf

    if job["library"] == "tensorflow":
        return tf.saved_model.load(job["model"])
    return importlib.import_module(job["library"]).models.load_model(job["model"], compile=False)


def run_model(job: Job, model: Any, samples: list[Feeds]) -> dict[str, np.ndarray]:
    """The float model in TensorFlow itself, one by one."""
    import tensorflow as tf

    if job["library"] == "tensorflow":
        call = model.signatures[job["signature"]]
        rows = [call(**{name: tf.constant(a) for name, a in feeds.items()}) for feeds in samples]
        return {n: np.concatenate([row[n].numpy() for row in rows]) for n in job["outputs"]}
    call = tf.function(lambda tensor: model(tensor, training=False))
    (output,), (name,) = job["outputs"], job["inputs"]
    return {output: np.concatenate([call(tf.constant(f[name])).numpy() for f in samples])}


def converter_of(job: Job, model: Any) -> Any:
    """From the model as it was given."""
    import tensorflow as tf

    if job["library"] == "tensorflow":
        return tf.lite.TFLiteConverter.from_saved_model(
            job["model"], signature_keys=[job["signature"]]
        )
    if job["library"] == "tf_keras":
        return tf.lite.TFLiteConverter.from_concrete_functions([_function(job, model)], model)
    return tf.lite.TFLiteConverter.from_keras_model(model)


def _function(job: Job, model: Any) -> Any:
    """from_keras_model of TensorFlow 2.21 takes Keras 3 models only."""
    import tensorflow as tf

    spec = tf.TensorSpec([1, *model.inputs[0].shape[1:]], model.inputs[0].dtype)
    return tf.function(lambda tensor: model(tensor)).get_concrete_function(spec)


def full_integer(job: Job, model: Any, samples: list[Feeds], *, float_ops: bool = False) -> Any:
    """INT8 with a representative dataset; ``float_ops`` lets what has no INT8 kernel stay float."""
    import tensorflow as tf

    def representative() -> Iterator[Any]:
        for feeds in samples:
            yield feeds if job["library"] == "tensorflow" else list(feeds.values())

    converter = converter_of(job, model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    if float_ops:
        return converter
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter


def dynamic_range(job: Job, model: Any, samples: list[Feeds]) -> Any:
    """INT8 weights alone, which needs no samples."""
    import tensorflow as tf

    converter = converter_of(job, model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter


WAYS: dict[str, Callable[[Job, Any, list[Feeds]], Any]] = {
    "int8": full_integer,
    "int8_float_ops": partial(full_integer, float_ops=True),
    "dynamic": dynamic_range,
}


def run_tflite(file: Path, job: Job, samples: list[Feeds]) -> dict[str, np.ndarray]:
    """Real values of every output; ends are matched by place, where there is one, else by name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=job["threads"])
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1:
        raise ValueError(f"{file.name} has {len(inputs)} inputs; this script feeds one")
    names = _output_names(interpreter, outputs, job["outputs"])
    for detail in inputs:
        interpreter.resize_tensor_input(detail["index"], samples[0][job["inputs"][0]].shape)
    interpreter.allocate_tensors()
    answers: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for feeds in samples:
        interpreter.set_tensor(inputs[0]["index"], _stored(feeds[job["inputs"][0]], inputs[0]))
        interpreter.invoke()
        for name, detail in zip(names, outputs, strict=True):
            answers[name].append(_real(interpreter.get_tensor(detail["index"]), detail))
    return {name: np.concatenate(rows) for name, rows in answers.items()}


def _output_names(interpreter: Any, details: list[Any], wanted: list[str]) -> list[str]:
    if len(details) == 1:
        return list(wanted)
    (signature, *_) = interpreter.get_signature_list().items()
    runner = interpreter.get_signature_runner(signature[0])
    by_index = {each["index"]: name for name, each in runner.get_output_details().items()}
    return [by_index[detail["index"]] for detail in details]


def _stored(values: np.ndarray, detail: Any) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def _real(stored: np.ndarray, detail: Any) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if stored.dtype.kind == "f":
        return stored
    return ((stored.astype(np.float64) - zero_point) * scale).astype(np.float32)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(*sys.argv[1:])
