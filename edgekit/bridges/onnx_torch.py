"""ONNX to an ExportedProgram of PyTorch, by edgekit's own rules."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from edgekit.bridges.bridge import Bridge, BridgeJob
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

        from edgekit.pytorch.description import describe
        from edgekit.pytorch.export import export
        from edgekit.pytorch.from_onnx import onnx_module
        from edgekit.pytorch.program import save_program

        source = job.source
        module = onnx_module(onnx.load(source.value), source.inputs, source.outputs)
        program = export(module, source.inputs)
        file = job.folder / "model.pt2"
        save_program(program, file, describe(source.inputs, source.outputs, kept_float={}))
        return file

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return saved_model(file, source.inputs, source.outputs)


def make() -> Bridge:
    return OnnxTorch()
