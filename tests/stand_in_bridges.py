"""Bridges between tiny .tflite files, so that ways can be tried in microseconds.

The source says it is a PyTorch module, and "ONNX" is a .tflite too; what is between is the
pipeline's own. Every bridge notes when it converts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit import reach
from edgekit.bridges import BridgeEntry, BridgeJob, cross, route
from edgekit.errors import ConversionError, MissingError
from edgekit.recipe import references
from edgekit.sources.source import SourceModel
from edgekit.sources.tflite import float_tflite
from edgekit.types import ModelKind
from tests import tflite_models as models

TORCH, ONNX, TFLITE = ModelKind.TORCH_MODULE, ModelKind.ONNX, ModelKind.FLOAT_TFLITE


def same(job: BridgeJob) -> bytes:
    """The model as it is."""
    return job.source.files["model"].read_bytes()


def wrong(job: BridgeJob) -> bytes:
    """Converts to a model of other weights."""
    return models.float_model(seed=1)


def crashing(job: BridgeJob) -> bytes:
    """Converts to a file that takes its runtime down."""
    graph = models.Graph()
    x, y = (graph.tensor(name, models.INPUT_SHAPE) for name in ("x", "scores"))
    table = "LocalResponseNormalizationOptions"
    graph.operator("LOCAL_RESPONSE_NORMALIZATION", [x], [y], table=table, radius=-5)
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    return models.write([graph], {"serving_default": 0})


def reshaping(job: BridgeJob) -> bytes:
    """Converts to a model that takes another input."""
    return models.crashing_model()


def refusing(job: BridgeJob) -> bytes:
    raise ConversionError("no rule for Search at net/find", hint="Rewrite it.")


def missing(job: BridgeJob) -> bytes:
    raise MissingError("converter needs a package", hint="pip install it")


@dataclass(frozen=True)
class Row(BridgeEntry):
    """A row without a module of its own."""

    write: Callable[[BridgeJob], bytes] = same
    calls: list[str] = field(default_factory=list, compare=False)

    def load(self) -> Any:
        def convert(job: BridgeJob) -> Path:
            self.calls.append(self.module)
            file = job.folder / "model.tflite"
            file.write_bytes(self.write(job))
            return file

        def opened(file: Path, source: SourceModel) -> SourceModel:
            return replace(float_tflite(file, source.inputs, source.outputs), kind=self.produces)

        return SimpleNamespace(version=lambda: self.module, convert=convert, open=opened)


class Bridges:
    """The whole table, with stand-ins alone; ``calls`` are the conversions that were begun."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.calls: list[str] = []
        self._table: dict[str, BridgeEntry] = {}
        for module in (cross, route, reach, references):  # each has the name for itself
            patch.setattr(module, "BRIDGES", self._table)
        patch.setattr(cross, "_INSPECTORS", {TFLITE: "edgekit.tflite.facts"})

    def add(
        self,
        name: str,
        accepts: ModelKind,
        produces: ModelKind,
        write: Callable[[BridgeJob], bytes] = same,
        environment: str | None = None,
    ) -> None:
        self._table[name] = Row(
            module=name,
            accepts=(accepts,),
            produces=produces,
            requires=(),
            install="",
            summary="",
            environment=environment,
            write=write,
            calls=self.calls,
        )
