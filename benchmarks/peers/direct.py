"""The peers called directly: one plain script, without edgekit, for a job in a JSON file.

``python -m benchmarks.peers.direct TOOL WAY JOB.json OUT``, by the Python of whatever environment
TOOL lives in. It leaves its file (a bridge: its SavedModel) at OUT and says in OUT.json how many
seconds the quantizing took: the model loaded and the samples in memory before, the file written
after; and which version did it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np

from benchmarks import direct, direct_tf, onnx_direct, onnx_direct_ort

SIGNATURE = "serving_default"


def main(tool: str, way: str, job_file: str, out: str) -> None:
    module, call = TOOLS[tool]
    seconds = call(way, json.loads(Path(job_file).read_text()), Path(out))
    package = packages_distributions()[module][0]  # tensorflow is tensorflow-cpu in some
    told = {"seconds": seconds, "version": f"{package} {version(package)}"}
    Path(f"{out}.json").write_text(json.dumps(told))


def by_engine(way: str, job: direct.Job, out: Path) -> float:
    """ai-edge-quantizer's ``static_wi8_ai8``, its ranges from its own calibrator, or the exact
    extremes of every tensor."""
    ranges_of = {"own": direct.calibrate_by_engine, "exact": direct.exact_ranges}[way]
    file, samples = Path(job["tflite"]), calibration(job)
    start = time.perf_counter()
    out.write_bytes(direct.quantize(file, ranges_of(file, samples, job["threads"])))
    return time.perf_counter() - start


def by_ort(way: str, job: direct.Job, out: Path) -> float:
    """``quantize_static``, which reads the model itself."""
    samples = channels_first(calibration(job))
    start = time.perf_counter()
    onnx_direct_ort.quantize(Path(job["onnx"]), out, samples, **onnx_direct_ort.WAYS[way])
    return time.perf_counter() - start


def by_nncf(way: str, job: direct.Job, out: Path) -> float:
    """``nncf.quantize`` with its defaults, or with the bias correction it calls more accurate."""
    import nncf
    import onnx

    options = {"default": {}, "full": {"fast_bias_correction": False}}[way]
    model, samples = onnx.load(job["onnx"]), channels_first(calibration(job))
    name = model.graph.input[0].name
    start = time.perf_counter()
    dataset = nncf.Dataset([{name: sample[None]} for sample in samples])
    onnx.save(nncf.quantize(model, dataset, **options), out)
    return time.perf_counter() - start


def by_converter(folder: str, job: direct.Job, out: Path) -> float:
    """TFLiteConverter to full INT8, on the SavedModel in ``folder``."""
    import tensorflow as tf

    samples = calibration(job)
    signature = tf.saved_model.load(folder).signatures[SIGNATURE]
    ((name, spec),) = signature.structured_input_signature[1].items()
    if tuple(spec.shape) != (1, *samples.shape[1:]):
        samples = channels_first(samples)
    feeds = [{name: sample[None]} for sample in samples]
    job = {"library": "tensorflow", "model": folder, "signature": SIGNATURE}
    converter = direct_tf.full_integer(job, None, feeds)
    start = time.perf_counter()
    out.write_bytes(converter.convert())
    return time.perf_counter() - start


def onnx2tf_saved_model(way: str, job: direct.Job, out: Path) -> float:
    """The float SavedModel that onnx2tf makes with its defaults."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import onnx2tf

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:  # it leaves files where it is run
        os.chdir(folder)
        onnx_direct.give_samples()
        shutil.copy(job["onnx"], "model.onnx")
        onnx2tf.convert(
            input_onnx_file_path="model.onnx", output_folder_path=str(out), non_verbose=True
        )
        os.chdir(out)
    return time.perf_counter() - start


def onnx_tf_saved_model(way: str, job: direct.Job, out: Path) -> float:
    """The float SavedModel of onnx-tf."""
    import onnx
    from onnx_tf.backend import prepare

    start = time.perf_counter()
    prepare(onnx.load(job["onnx"])).export_graph(str(out))
    return time.perf_counter() - start


TOOLS: dict[str, tuple[str, Callable[[str, direct.Job, Path], float]]] = {
    "engine": ("ai_edge_quantizer", by_engine),
    "ort": ("onnxruntime", by_ort),
    "nncf": ("nncf", by_nncf),
    "converter": ("tensorflow", by_converter),
    "onnx2tf": ("onnx2tf", onnx2tf_saved_model),
    "onnx-tf": ("onnx_tf", onnx_tf_saved_model),
}
"""The module whose package and version are told, and the call."""


def calibration(job: direct.Job) -> np.ndarray:
    """float32 [N, H, W, C]."""
    samples: np.ndarray = np.load(job["calibration"])[job["input"]]
    return samples


def channels_first(samples: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, C, H, W]."""
    return np.ascontiguousarray(samples.transpose(0, 3, 1, 2))


if __name__ == "__main__":
    main(*sys.argv[1:])
