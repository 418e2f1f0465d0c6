"""A report by layer with one of everything."""

from __future__ import annotations

from edgekit.measure.layers import LayerError, LayerErrors, OwnError
from edgekit.report.layers import LayerReport
from edgekit.tflite.hard_cases import HardCase


def layer(
    name: str, op: str = "CONV_2D", sqnr_db: float = 20.0, own: OwnError | None = None
) -> LayerError:
    return LayerError(name, op, "int8", sqnr_db, -0.003, -0.08, 0.03, 0.0011, 0.0235, own)


LAYERS = (
    LayerError(
        "image", "INPUT", "int8", 24.2, 0.014, 0.9, 0.13, 0.0595, 0.016, OwnError(24.2, 1, 0, 0)
    ),
    layer("features.0.2", sqnr_db=28.3, own=OwnError(41.3, 0.09, 0.22, 0.69)),
    layer("features.1.conv.0.2", "DEPTHWISE_CONV_2D", 29.3, OwnError(35.4, 0, 0.85, 0.15)),
    LayerError(
        "kept", "ADD", "float32", 28.0, 1e-4, None, 0.0, None, None, OwnError(60.0, 0, 0, 1)
    ),
    LayerError(
        "moved", "RESHAPE", "int8", 28.0, 0.0, 0.0, 0.0, 0.0, 0.02, OwnError(200.0, 0, 0, 0)
    ),
    LayerError("odd<&>", "MUL", "int8", 18.7, 0.0, 0.0, 0.0, 1e-6, 0.02, None),
)
REPORT = LayerReport(
    model="run/model.tflite",
    reference="run/model.float.tflite",
    recipe="mobilenet_int8",
    role="dev",
    errors=LayerErrors(LAYERS, missing=("fused",), samples=16),
    hard_cases=(HardCase("swish", ("a", "b", "c", "d"), "it is hard", "do this"),),
)
