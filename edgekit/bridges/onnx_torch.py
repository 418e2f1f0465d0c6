"""ONNX to an ExportedProgram of PyTorch, by edgekit's own rules."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.bridges.isolated import lacking
from edgekit.bridges.onnx_tf import known_opsets
from edgekit.errors import ConversionError
from edgekit.onnx.checks import opset_of
from edgekit.onnx.ops import operators
from edgekit.sources.pytorch import require_torch, saved_model, torch_version
from edgekit.sources.source import SourceModel

# Raise when what the rules make of the same model changes: cached programs are then remade.
_REVISION = 1


class OnnxTorch:
    """Rebuilds the model out of PyTorch's modules, exports it and saves the program."""

    def version(self) -> str:
        return f"onnx {version('onnx')}, torch {torch_version()}, {_REVISION}"

    def convert(self, job: BridgeJob) -> Path:
        require_torch()
        import onnx
        import onnx.inliner

        from edgekit.pytorch.description import describe
        from edgekit.pytorch.export import export
        from edgekit.pytorch.from_onnx import onnx_module
        from edgekit.pytorch.program import save_program

        source = job.source
        model = onnx.load(source.value)
        try:
            module = onnx_module(model, source.inputs, source.outputs)
        except ConversionError as error:
            raise ConversionError(
                error.message, hint=error.hint, bridges=taking(onnx.inliner, model)
            ) from error
        program = export(module, source.inputs)
        file = job.folder / "model.pt2"
        save_program(program, file, describe(source.inputs, source.outputs, kept_float={}))
        return file

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return saved_model(file, source.inputs, source.outputs)


def taking(inliner: Any, model: Any) -> tuple[str, ...]:
    """The bridges to ``.tflite`` that have every operator of the model."""
    model = inliner.inline_local_functions(model) if model.functions else model
    found = ["onnx2tf"] if not lacking("onnx2tf", operators(model), opset_of(model)) else []
    return (*found, "onnx_tf") if known_opsets(model) else tuple(found)


def make() -> Bridge:
    return OnnxTorch()
