"""``edgekit init`` for TensorFlow: a recipe that validates, and a next command that works."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.fetch import tree_sha256
from tests.cli.commands import edgekit, refused


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with saved/, two signatures of one matrix, and samples of its input."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("saved")
    module = tf.Module()
    module.weight = tf.Variable(np.random.default_rng(0).normal(size=(16, 4)), dtype=tf.float32)
    module.scores = tf.function(
        lambda x: {"scores": tf.nn.relu(x @ module.weight)},
        input_signature=[tf.TensorSpec((None, 16), name="x")],
    )
    module.double = tf.function(
        lambda x: {"doubled": x * 2}, input_signature=[tf.TensorSpec((None, 16), name="x")]
    )
    signatures = {"scores": module.scores, "double": module.double}
    tf.saved_model.save(module, folder / "saved", signatures=signatures)
    samples = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)
    np.savez(folder / "samples.npz", x=samples)
    return folder


@pytest.mark.slow
def test_a_saved_model_from_folder_to_file(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    listed = edgekit("init", "saved", "--data", "samples.npz", cwd=tmp_path)
    refused(listed, 2)
    assert listed.stderr.splitlines() == [
        "error: saved has no 'serving_default'; it has",
        "  double: x float32 [?, 16] -> doubled float32 [?, 16]",
        "  scores: x float32 [?, 16] -> scores float32 [?, 4]",
        "  Choose one with model.signature.",
    ]
    arguments = ("--signature", "scores", "--data", "samples.npz")
    made = edgekit("init", "saved", *arguments, cwd=tmp_path)
    assert made.code == 0, made
    assert made.stdout == "edgekit quantize --recipe saved_int8.yaml\n"
    assert made.stderr.splitlines() == [
        "assumed: output scores holds the scores of 4 classes",
        "wrote saved_int8.yaml",
    ]
    assert "  signature: scores\n" in (tmp_path / "saved_int8.yaml").read_text()
    assert edgekit("recipes", "validate", "saved_int8.yaml", cwd=tmp_path).code == 0
    _, *command = shlex.split(made.stdout)
    settings = ("--set", "quantize.method=tflite_int8", "--set", "gate.agreement_min=0.5")
    ran = edgekit(*command, *settings, "--out", "out", cwd=tmp_path)
    assert ran.code == 0, ran
    recorded = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]["model"]
    assert recorded["file"] == "saved"
    assert recorded["sha256"] == tree_sha256(tmp_path / "saved")
    assert recorded["bytes"] > 1000
    assert (tmp_path / "out" / "model.tflite").exists()
