"""An ``.onnx`` file as the source."""

from __future__ import annotations

from pathlib import Path

from edgekit.cache import content_key, file_sha256
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.onnx_runtime import OnnxSession
from edgekit.runtimes.session import Session
from edgekit.sources.source import SourceModel
from edgekit.sources.tf_checks import versions
from edgekit.types import ModelKind


def onnx_model(file: Path, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...]) -> SourceModel:
    """The checked ``.onnx`` at ``file``, its shapes as in ``inputs``: where every bridge to and
    from ONNX meets."""
    parts = {"model": file_sha256(file), "inputs": inputs, **versions("onnxruntime")}
    return SourceModel(
        kind=ModelKind.ONNX,
        inputs=inputs,
        outputs=outputs,
        fingerprint=content_key(parts),
        files={"model": file},
        loader=lambda: file,
        opener=_open,
    )


def _open(source: SourceModel, threads: int) -> Session:
    return OnnxSession(source.files["model"], source.inputs, source.outputs, threads=threads)
