"""Bridges between model kinds, by name. Looking a name up imports no framework."""

from __future__ import annotations

from edgekit.bridges.bridge import Bridge, BridgeEntry, BridgeJob
from edgekit.types import ModelKind

_TORCH = (ModelKind.TORCH_MODULE, ModelKind.EXPORTED_PROGRAM, ModelKind.TORCHSCRIPT)
_TENSORFLOW = (ModelKind.KERAS, ModelKind.SAVED_MODEL, ModelKind.CONCRETE_FUNCTION)

BRIDGES: dict[str, BridgeEntry] = {
    "litert_torch": BridgeEntry(
        module="edgekit.bridges.litert_torch",
        accepts=_TORCH,
        produces=ModelKind.FLOAT_TFLITE,
        requires=("litert_torch", "torch"),
        install="pip install 'edgekit[torch]'",
        summary="PyTorch to float32 channels-last .tflite",
    ),
    "tflite_converter": BridgeEntry(
        module="edgekit.bridges.tflite_converter",
        accepts=_TENSORFLOW,
        produces=ModelKind.FLOAT_TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install="pip install 'edgekit[tensorflow]'",
        summary="TensorFlow and Keras to float32 .tflite",
    ),
    "torch_onnx": BridgeEntry(
        module="edgekit.bridges.torch_onnx",
        accepts=_TORCH,
        produces=ModelKind.ONNX,
        requires=("torch", "onnx", "onnxscript", "onnxruntime", "onnxslim"),
        install="pip install 'edgekit[torch,onnx]'",
        summary="PyTorch to ONNX by torch.onnx",
    ),
    "tf2onnx": BridgeEntry(
        module="edgekit.bridges.tf2onnx",
        accepts=(*_TENSORFLOW, ModelKind.FLOAT_TFLITE),
        produces=ModelKind.ONNX,
        requires=("tensorflow", "tf2onnx", "onnx", "onnxruntime", "onnxslim"),
        install="pip install 'edgekit[tensorflow,onnx]'",
        summary="TensorFlow, Keras and .tflite to ONNX",
    ),
    "onnx_torch": BridgeEntry(
        module="edgekit.bridges.onnx_torch",
        accepts=(ModelKind.ONNX,),
        produces=ModelKind.EXPORTED_PROGRAM,
        requires=("torch", "onnx", "onnxruntime", "onnxslim"),
        install="pip install 'edgekit[torch,onnx]'",
        summary="ONNX to an ExportedProgram of PyTorch",
    ),
    "onnx2tf": BridgeEntry(
        module="edgekit.bridges.onnx2tf",
        accepts=(ModelKind.ONNX,),
        produces=ModelKind.FLOAT_TFLITE,
        requires=("onnx", "onnxruntime", "onnxslim", "ai_edge_litert"),
        install="pip install 'edgekit[onnx,torch]'",
        summary="ONNX to float32 channels-last .tflite by onnx2tf",
        environment="onnx2tf",
    ),
    "onnx_tf": BridgeEntry(
        module="edgekit.bridges.onnx_tf",
        accepts=(ModelKind.ONNX,),
        produces=ModelKind.FLOAT_TFLITE,
        requires=("onnx", "onnxruntime", "onnxslim", "ai_edge_litert"),
        install="pip install 'edgekit[onnx,torch]'",
        summary="ONNX to float32 .tflite by onnx-tf and TFLiteConverter",
        environment="onnx-tf",
    ),
}
"""In the order in which ways of equal length are tried: without an isolated environment first."""

__all__ = ["BRIDGES", "Bridge", "BridgeEntry", "BridgeJob"]
