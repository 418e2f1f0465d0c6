"""Quantization methods, by name. Looking a name up imports no framework."""

from __future__ import annotations

from edgekit.methods.method import Method, MethodEntry
from edgekit.types import ArtefactFormat, ModelKind

METHODS: dict[str, MethodEntry] = {
    "litert_static": MethodEntry(
        module="edgekit.methods.litert_static",
        accepts=(ModelKind.FLOAT_TFLITE,),
        produces=ArtefactFormat.TFLITE,
        requires=("ai_edge_quantizer", "ai_edge_litert"),
        install="pip install 'edgekit[torch]'",
        summary="full-integer .tflite from the float graph (ai-edge-quantizer)",
    ),
}


def load_method(name: str) -> Method:
    """Import and return the method called ``name``.

    Raises:
        KeyError: no such method; recipes are validated before this is called.
        MissingError: a package it needs is not installed.
    """
    return METHODS[name].load()


__all__ = ["METHODS", "Method", "MethodEntry", "load_method"]
