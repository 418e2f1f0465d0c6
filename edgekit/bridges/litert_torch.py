"""PyTorch to a float32 channels-last ``.tflite`` by litert-torch."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.bridges.bridge import Bridge, BridgeJob
from edgekit.capture import captured_output
from edgekit.errors import ConversionError
from edgekit.recipe.schema import InputSpec
from edgekit.sources.pytorch import require_torch
from edgekit.sources.source import SourceModel
from edgekit.sources.tflite import float_tflite
from edgekit.tflite.names import readable_names
from edgekit.types import ModelKind

# Raise when what this module writes changes for the same input: cached graphs are then remade.
_REVISION = 4


class LitertTorch:
    """Wraps the model in a channels-last permute, converts it, and gives tensors readable names."""

    def version(self) -> str:
        return f"litert-torch {version('litert-torch')}, torch {version('torch')}, {_REVISION}"

    def convert(self, job: BridgeJob) -> Path:
        source = job.source
        torch = require_torch()
        from edgekit.bridges.channels_last import ChannelsLast

        module = ChannelsLast(_module(source), source.inputs, source.outputs)
        examples = tuple(_example(torch, spec) for spec in source.inputs)
        file = job.folder / "model.float.tflite"
        with captured_output() as log, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                import litert_torch

                litert_torch.convert(module, examples).export(str(file))
            except Exception as error:  # many types, from torch.export down to MLIR
                raise ConversionError(
                    f"litert-torch could not convert the model: {_cause(error)}",
                    hint="Check model.inputs first."
                    + (f" Its own last words:\n{log.tail()}" if log.tail() else ""),
                ) from error
        names = tuple(spec.name for spec in source.inputs)
        root = f"{ChannelsLast.__module__}.{ChannelsLast.__qualname__}"
        try:
            file.write_bytes(readable_names(file.read_bytes(), names, source.outputs, root))
        except ValueError as error:
            raise ConversionError(
                f"the converted model has other inputs or outputs than the recipe: {error}",
                hint="Correct model.inputs or model.outputs in the recipe.",
            ) from error
        return file

    def open(self, file: Path, source: SourceModel) -> SourceModel:
        return float_tflite(file, tuple(map(channels_last, source.inputs)), source.outputs)


def make() -> Bridge:
    return LitertTorch()


def channels_last(spec: InputSpec) -> InputSpec:
    """The same input as the ``.tflite`` has it."""
    if spec.layout != "NCHW":
        return spec
    n, c, h, w = spec.shape
    return InputSpec(name=spec.name, shape=(n, h, w, c), dtype=spec.dtype, layout="NHWC")


def _module(source: SourceModel) -> Any:
    if source.kind is ModelKind.EXPORTED_PROGRAM:
        import torch

        # Not module(), which is one flat graph: layers would have no names in the .tflite.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.unflatten(source.value)
    if source.kind is ModelKind.TORCHSCRIPT:
        return _from_torchscript(source)
    return source.value


def _from_torchscript(source: SourceModel) -> Any:
    # torch.export refuses a ScriptModule; this converter is what torch itself offers for them.
    import torch
    from torch._export.converter import TS2EPConverter

    examples = tuple(
        torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in source.inputs
    )
    with captured_output() as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return TS2EPConverter(source.value, examples).convert().module()
        except Exception as error:
            raise ConversionError(
                f"the TorchScript file cannot be exported: {_cause(error)}",
                hint="Export the original model with torch.export and give its .pt2 instead."
                + (f"\n{log.tail()}" if log.tail() else ""),
            ) from error


def _example(torch: Any, spec: InputSpec) -> Any:
    last = channels_last(spec)
    dtype = getattr(torch, last.dtype)
    # Seeded: the values do not reach the graph, but nothing here should depend on chance.
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point:
        return torch.rand(last.shape, generator=generator, dtype=dtype)
    return torch.zeros(last.shape, dtype=dtype)


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
