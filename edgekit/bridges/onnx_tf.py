"""ONNX to a float32 ``.tflite`` by onnx-tf, in an isolated environment.

onnx-tf keeps every tensor channels-first and puts a transpose on either side of a convolution;
TFLiteConverter cancels them, where nothing it cannot see through stands between two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.bridges.isolated import (
    convert,
    lacking,
    open_converted,
    ready_model,
    refuse_lacking,
    tool_version,
)
from edgekit.bridges.opsets import lowered, padded_as_same
from edgekit.onnx.checks import opset_of
from edgekit.onnx.ops import operators
from edgekit.sources.source import SourceModel

# Raise when what this module writes changes for the same input: cached graphs are then remade.
_REVISION = 1
_NAME = "onnx_tf"
_ENVIRONMENT = "onnx-tf"
# Its onnx 1.15 reads operator set 20 and IR version 9; its operators end at set 17 or before.
_OPSETS = (17, 16, 15, 14, 13, 12, 11)
_MAX_IR_VERSION = 8


class OnnxTF:
    """Lowers the model to an operator set that onnx-tf implements, and converts it."""

    def version(self) -> str:
        return tool_version(_ENVIRONMENT, _REVISION)

    def convert(self, job: BridgeJob) -> Path:
        model = ready_model(job)
        opsets = known_opsets(model)
        if not opsets:
            refuse_lacking(_NAME, model, min(_OPSETS[0], opset_of(model)))
        return convert(
            job,
            padded_as_same(lowered(model, opsets, _NAME)),
            bridge=_NAME,
            environment=_ENVIRONMENT,
            worker="convert_onnx_tf",
            ir_version=_MAX_IR_VERSION,
        )

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return open_converted(file, source)


def make() -> Bridge:
    return OnnxTF()


def known_opsets(model: Any) -> tuple[int, ...]:
    """The operator sets up to the model's in which onnx-tf knows all of its operators, newest
    first. The operators stay the same ones: what has no earlier form is not replaced."""
    own, found = opset_of(model), operators(model)
    below = (min(own, _OPSETS[0]), *(opset for opset in _OPSETS if opset < own))
    return tuple(opset for opset in dict.fromkeys(below) if not lacking(_NAME, found, opset))
