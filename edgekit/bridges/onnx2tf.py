"""ONNX to a float32 channels-last ``.tflite`` by onnx2tf, in an isolated environment."""

from __future__ import annotations

from pathlib import Path

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.bridges.isolated import (
    convert,
    open_converted,
    ready_model,
    refuse_lacking,
    tool_version,
)
from edgekit.bridges.opsets import lowered
from edgekit.onnx.checks import opset_of
from edgekit.onnx.constants import copy_into_inner_graphs
from edgekit.sources.source import SourceModel

# Raise when what this module writes changes for the same input: cached graphs are then remade.
_REVISION = 1
_NAME = "onnx2tf"
_ENVIRONMENT = "onnx2tf"
# What its ONNX Runtime 1.23, by which it compares layouts, runs.
_MAX_OPSET = 23
_MAX_IR_VERSION = 10


class Onnx2TF:
    """onnx2tf moves every operator to channels-last by itself."""

    def version(self) -> str:
        return tool_version(_ENVIRONMENT, _REVISION)

    def convert(self, job: BridgeJob) -> Path:
        model = ready_model(job)
        refuse_lacking(_NAME, model, opset_of(model))
        model = lowered(model, (_MAX_OPSET,), _NAME)
        copy_into_inner_graphs(model)
        return convert(
            job,
            model,
            bridge=_NAME,
            environment=_ENVIRONMENT,
            worker="convert_onnx2tf",
            ir_version=_MAX_IR_VERSION,
        )

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return open_converted(file, source)


def make() -> Bridge:
    return Onnx2TF()
