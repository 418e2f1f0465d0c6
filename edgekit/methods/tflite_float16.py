"""FLOAT16 weights by TFLiteConverter, no calibration."""

from __future__ import annotations

from edgekit.methods.method import Method
from edgekit.methods.tflite_conversion import TFLiteConversion
from edgekit.tensorflow.convert import Scheme


def make() -> Method:
    return TFLiteConversion("tflite_float16", Scheme.FLOAT16)
