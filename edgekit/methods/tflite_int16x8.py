"""INT8 weights and INT16 activations by TFLiteConverter, ranges from a representative dataset."""

from __future__ import annotations

from edgekit.methods.method import Method
from edgekit.methods.tflite_conversion import TFLiteConversion
from edgekit.tensorflow.convert import Scheme


def make() -> Method:
    return TFLiteConversion("tflite_int16x8", Scheme.INT16X8)
