"""INT8 weights and float activations by TFLiteConverter: dynamic range, no calibration."""

from __future__ import annotations

from edgekit.methods.method import Method
from edgekit.methods.tflite_conversion import TFLiteConversion
from edgekit.tensorflow.convert import Scheme


def make() -> Method:
    return TFLiteConversion("tflite_dynamic", Scheme.DYNAMIC)
