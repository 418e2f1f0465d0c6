"""onnx2tf and onnx-tf called directly: one plain script, without edgekit, for the Python of the
tool's own environment.

``python onnx_direct.py TOOL HOW MODEL.onnx OUT.tflite``, paths absolute. ``HOW`` is
``documented``: the calls that the tool's README shows, with their defaults; or ``same``: the calls
that edgekit makes, with the options that it gives.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import Any

SAMPLES_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def main(tool: str, how: str, model: str, out: str) -> None:
    call = {
        ("onnx2tf", "documented"): onnx2tf_documented,
        ("onnx2tf", "same"): onnx2tf_same,
        ("onnx-tf", "documented"): onnx_tf_documented,
        ("onnx-tf", "same"): onnx_tf_same,
    }[tool, how]
    with tempfile.TemporaryDirectory() as folder:  # both leave files where they are run
        os.chdir(folder)
        data = call(model)
        with open(out, "wb") as file:
            file.write(data)
        os.chdir(os.path.dirname(out))


def onnx2tf_documented(model: str) -> bytes:
    """It writes a SavedModel and two files, of which the float32 one is taken."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import onnx2tf

    give_samples()
    shutil.copy(model, "model.onnx")
    onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path="made", non_verbose=True)
    with open("made/model_float32.tflite", "rb") as file:
        return file.read()


def onnx2tf_same(model: str) -> bytes:
    """Nothing simplified, nothing saved, and TFLiteConverter on the network."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import onnx2tf

    give_samples()
    shutil.copy(model, "model.onnx")
    network = onnx2tf.convert(
        input_onnx_file_path="model.onnx",
        output_folder_path="made",
        not_use_onnxsim=True,
        disable_model_save=True,
        non_verbose=True,
        verbosity="error",
    )
    import tensorflow as tf

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in network.inputs]
    return converted(lambda *tensors: network(list(tensors)), specs)


def give_samples() -> None:
    """What onnx2tf looks for in its working folder, and would download."""
    import numpy as np

    samples = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    np.save(SAMPLES_FILE, samples)


def onnx_tf_documented(model: str) -> bytes:
    import onnx
    import tensorflow as tf
    from onnx_tf.backend import prepare

    prepare(onnx.load(model)).export_graph("made")
    return bytes(tf.lite.TFLiteConverter.from_saved_model("made").convert())


def onnx_tf_same(model: str) -> bytes:
    """No SavedModel; TFLiteConverter on the function."""
    import onnx
    import tensorflow as tf
    from onnx_tf.backend import prepare

    rep = prepare(onnx.load(model), logging_level="ERROR")
    module = rep.tf_module
    module.is_export = True
    specs = [
        tf.TensorSpec(rep.signatures[name].shape, rep.signatures[name].dtype, name=name)
        for name in rep.inputs
    ]
    return converted(lambda *tensors: module(**dict(zip(rep.inputs, tensors))), specs)  # noqa: B905


def converted(call: Any, specs: Any) -> bytes:
    import tensorflow as tf

    graph = tf.function(call, autograph=False).get_concrete_function(*specs)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
