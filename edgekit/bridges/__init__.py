"""Bridges between model kinds, by name. Looking a name up imports no framework."""

from __future__ import annotations

from edgekit.bridges.bridge import Bridge, BridgeEntry
from edgekit.types import ModelKind

BRIDGES: dict[str, BridgeEntry] = {
    "litert_torch": BridgeEntry(
        module="edgekit.bridges.litert_torch",
        accepts=(ModelKind.TORCH_MODULE, ModelKind.EXPORTED_PROGRAM, ModelKind.TORCHSCRIPT),
        produces=ModelKind.FLOAT_TFLITE,
        requires=("litert_torch", "torch"),
        install="pip install 'edgekit[torch]'",
        summary="PyTorch to float32 channels-last .tflite",
    ),
    "tflite_converter": BridgeEntry(
        module="edgekit.bridges.tflite_converter",
        accepts=(ModelKind.KERAS, ModelKind.SAVED_MODEL, ModelKind.CONCRETE_FUNCTION),
        produces=ModelKind.FLOAT_TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install="pip install 'edgekit[tensorflow]'",
        summary="TensorFlow and Keras to float32 .tflite",
    ),
}

__all__ = ["BRIDGES", "Bridge", "BridgeEntry"]
