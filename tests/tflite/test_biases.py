"""Biases that fit stay as they are; tests/methods/test_litert_static.py has one that does not."""

from __future__ import annotations

from edgekit.tflite.biases import with_biases_in_range
from tests import tflite_models as models


def test_a_model_whose_biases_fit_is_left_alone() -> None:
    weights = models.weights()
    quantized = models.write([models.int8_graph(weights)], {"serving_default": 0})
    floats = models.write([models.float_graph(weights)], {"serving_default": 0})
    assert with_biases_in_range(quantized, floats) is quantized
