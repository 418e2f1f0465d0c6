"""TensorFlow and Keras to a float32 ``.tflite`` by TFLiteConverter."""

from __future__ import annotations

from pathlib import Path

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.sources.source import SourceModel
from edgekit.sources.tf_checks import tensorflow_version
from edgekit.sources.tflite import float_tflite
from edgekit.tensorflow.convert import Scheme, convert

# Raise when what this module writes changes for the same input: cached graphs are then remade.
_REVISION = 1


class TFLiteConverter:
    """Freezes the model's function and converts it; the ends keep their names and signature."""

    def version(self) -> str:
        return f"tensorflow {tensorflow_version()}, {_REVISION}"

    def convert(self, job: BridgeJob) -> Path:
        source = job.source
        file = job.folder / "model.float.tflite"
        file.write_bytes(convert(source.value, source.inputs, source.outputs, scheme=Scheme.FLOAT))
        return file

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return float_tflite(file, source.inputs, source.outputs)


def make() -> Bridge:
    return TFLiteConverter()
