"""Full-integer INT8 ``.tflite`` by TFLiteConverter, ranges from a representative dataset."""

from __future__ import annotations

from edgekit.methods.method import Method
from edgekit.methods.tflite_conversion import TFLiteConversion
from edgekit.tensorflow.convert import Scheme


def make() -> Method:
    return TFLiteConversion("tflite_int8", Scheme.INT8)
