"""Quantization methods, by name. Looking a name up imports no framework."""

from __future__ import annotations

from edgekit.bridges.route import find_route
from edgekit.methods.method import Method, MethodEntry
from edgekit.types import ArtefactFormat, ModelKind

_TORCH = (ModelKind.TORCH_MODULE, ModelKind.EXPORTED_PROGRAM)
_INSTALL = "pip install 'edgekit[torch]'"
# Either extra holds ai-edge-quantizer and ai-edge-litert.
_INSTALL_EITHER = f"{_INSTALL}, or 'edgekit[tensorflow]' for TensorFlow models"
_TENSORFLOW = (ModelKind.KERAS, ModelKind.SAVED_MODEL, ModelKind.CONCRETE_FUNCTION)
_INSTALL_ONNX = "pip install 'edgekit[onnx]'"
_INSTALL_TENSORFLOW = "pip install 'edgekit[tensorflow]'"

AUTO = "auto"
"""``quantize.method`` where it is left to what the dev samples say; no row of the table."""

METHODS: dict[str, MethodEntry] = {
    "litert_static": MethodEntry(
        module="edgekit.methods.litert_static",
        accepts=(ModelKind.FLOAT_TFLITE,),
        produces=ArtefactFormat.TFLITE,
        requires=("ai_edge_quantizer", "ai_edge_litert"),
        install=_INSTALL_EITHER,
        summary="full-integer .tflite from the float graph (ai-edge-quantizer)",
        options=(
            "estimator",
            "effort",
            "raise_to",
            "input_dtype",
            "output_dtype",
            "per_channel",
            "allow_float_ops",
            "modules",
        ),
        estimator_of_modules=True,
        full_integer=True,
    ),
    "litert_weight_only": MethodEntry(
        module="edgekit.methods.litert_weight_only",
        accepts=(ModelKind.FLOAT_TFLITE,),
        produces=ArtefactFormat.TFLITE,
        requires=("ai_edge_quantizer", "ai_edge_litert"),
        install=_INSTALL_EITHER,
        summary="INT8 weights, float arithmetic (ai-edge-quantizer)",
        options=("per_channel",),
    ),
    "pt2e": MethodEntry(
        module="edgekit.methods.pt2e",
        accepts=_TORCH,
        produces=ArtefactFormat.PT2,
        requires=("torch", "torchao"),
        install=_INSTALL,
        summary="static INT8 ExportedProgram .pt2 (torchao PT2E), or QAT of one",
        options=("estimator", "backend", "per_channel", "modules", "qat"),
        backends=("xnnpack", "x86", "arm"),
    ),
    "pt2e_tflite": MethodEntry(
        module="edgekit.methods.pt2e_tflite",
        accepts=_TORCH,
        produces=ArtefactFormat.TFLITE,
        requires=("torch", "torchao", "litert_torch", "ai_edge_litert"),
        install=_INSTALL,
        summary="full-integer .tflite by way of PT2E (torchao, litert-torch)",
        options=(
            "estimator",
            "input_dtype",
            "output_dtype",
            "per_channel",
            "allow_float_ops",
            "modules",
            "qat",
        ),
        full_integer=True,
    ),
    "fx": MethodEntry(
        module="edgekit.methods.fx",
        accepts=(ModelKind.TORCH_MODULE,),
        produces=ArtefactFormat.TORCHSCRIPT,
        requires=("torch",),
        install=_INSTALL,
        summary="static INT8 TorchScript (FX graph mode, deprecated by PyTorch), or QAT of one",
        options=("estimator", "backend", "per_channel", "modules", "qat"),
        backends=("x86", "onednn", "qnnpack", "fbgemm"),
    ),
    "dynamic": MethodEntry(
        module="edgekit.methods.dynamic",
        accepts=(ModelKind.TORCH_MODULE,),
        produces=ArtefactFormat.TORCHSCRIPT,
        requires=("torch",),
        install=_INSTALL,
        summary="dynamic INT8 TorchScript: Linear, LSTM, GRU, Embedding (torch.ao)",
        options=("backend", "per_channel", "embeddings", "modules"),
        backends=("x86", "onednn", "qnnpack", "fbgemm"),
    ),
    "dynamic_torchao": MethodEntry(
        module="edgekit.methods.dynamic_torchao",
        accepts=(ModelKind.TORCH_MODULE,),
        produces=ArtefactFormat.PT2,
        requires=("torch", "torchao"),
        install=_INSTALL,
        summary="dynamic INT8 ExportedProgram .pt2: Linear, Embedding (torchao quantize_)",
        options=("embeddings", "modules"),
    ),
    "tflite_int8": MethodEntry(
        module="edgekit.methods.tflite_int8",
        accepts=_TENSORFLOW,
        produces=ArtefactFormat.TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install=_INSTALL_TENSORFLOW,
        summary="full-integer INT8 .tflite by TFLiteConverter",
        options=("input_dtype", "output_dtype", "per_channel", "allow_float_ops", "select_tf_ops"),
        full_integer=True,
    ),
    "tflite_int16x8": MethodEntry(
        module="edgekit.methods.tflite_int16x8",
        accepts=_TENSORFLOW,
        produces=ArtefactFormat.TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install=_INSTALL_TENSORFLOW,
        summary="INT8 weights, INT16 activations (TFLiteConverter)",
        options=("input_dtype", "output_dtype", "per_channel", "allow_float_ops", "select_tf_ops"),
        end_dtypes=("int16", "float32"),
        full_integer=True,
    ),
    "tflite_dynamic": MethodEntry(
        module="edgekit.methods.tflite_dynamic",
        accepts=_TENSORFLOW,
        produces=ArtefactFormat.TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install=_INSTALL_TENSORFLOW,
        summary="INT8 weights, float activations (TFLiteConverter)",
        options=("per_channel", "select_tf_ops"),
    ),
    "tflite_float16": MethodEntry(
        module="edgekit.methods.tflite_float16",
        accepts=_TENSORFLOW,
        produces=ArtefactFormat.TFLITE,
        requires=("tensorflow", "ai_edge_litert"),
        install=_INSTALL_TENSORFLOW,
        summary="FLOAT16 weights (TFLiteConverter)",
        options=("select_tf_ops",),
    ),
    "ort_static": MethodEntry(
        module="edgekit.methods.ort_static",
        accepts=(ModelKind.ONNX,),
        produces=ArtefactFormat.ONNX,
        requires=("onnx", "onnxruntime"),
        install=_INSTALL_ONNX,
        summary="static INT8 .onnx with QuantizeLinear/DequantizeLinear (ONNX Runtime)",
        options=("estimator", "per_channel", "modules"),
    ),
    "ort_dynamic": MethodEntry(
        module="edgekit.methods.ort_dynamic",
        accepts=(ModelKind.ONNX,),
        produces=ArtefactFormat.ONNX,
        requires=("onnx", "onnxruntime"),
        install=_INSTALL_ONNX,
        summary="dynamic INT8 .onnx: MatMul, Gemm, LSTM, Gather (ONNX Runtime)",
        options=("per_channel", "modules"),
    ),
}


def candidates(kind: ModelKind, bridge: str = "first") -> tuple[str, ...]:
    """What ``auto`` tries for a source model of ``kind``, where ``bridge`` leads (see
    ``find_route``). The first of equals is taken."""
    names = ("tflite_int8", "litert_static") if kind in _TENSORFLOW else ("litert_static",)
    return tuple(
        name for name in names if find_route(kind, METHODS[name].accepts, bridge) is not None
    )


def load_method(name: str) -> Method:
    """Import and return the method called ``name``.

    Raises:
        KeyError: no such method; recipes are validated before this is called.
        MissingError: a package it needs is not installed.
    """
    return METHODS[name].load()


__all__ = ["AUTO", "METHODS", "Method", "MethodEntry", "candidates", "load_method"]
