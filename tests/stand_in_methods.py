"""Methods to hold ``auto`` against the real one, by name; each is a row of ``STAND_INS``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

from edgekit.data import Dataset
from edgekit.errors import ConversionError, MissingError
from edgekit.methods.litert_static import LitertStatic
from edgekit.methods.method import MethodEntry, Quantized, QuantizeJob
from edgekit.types import ArtefactFormat, ModelKind
from tests import tflite_models as models


class First:
    """The first few samples of a dataset."""

    def __init__(self, dataset: Dataset, count: int):
        self._dataset, self._count = dataset, count
        self.fingerprint = f"{count} of {dataset.fingerprint}"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._dataset), self._count)


def coarse(job: QuantizeJob) -> Quantized:
    """Ranges of one sample: worse."""
    return LitertStatic().quantize(
        dataclasses.replace(job, calibration=First(job.calibration, 1))  # type: ignore[arg-type]
    )


def with_float_ends(job: QuantizeJob) -> Quantized:
    """As good, but not what the recipe asks for."""
    options = dataclasses.replace(job.options, input_dtype="float32", output_dtype="float32")
    return LitertStatic().quantize(dataclasses.replace(job, options=options))


def crashing(job: QuantizeJob) -> Quantized:
    """A file that takes its runtime down."""
    quantized = LitertStatic().quantize(job)
    graph = models.Graph()
    x, y = (graph.tensor(name, models.INPUT_SHAPE) for name in ("x", "scores"))
    table = "LocalResponseNormalizationOptions"
    graph.operator("LOCAL_RESPONSE_NORMALIZATION", [x], [y], table=table, radius=-5)
    graph.inputs, graph.outputs = {"x": x}, {"scores": y}
    quantized.artefact.path.write_bytes(models.write([graph], {"serving_default": 0}))
    return quantized


def renaming(job: QuantizeJob) -> Quantized:
    """A file whose output has another name."""
    quantized = LitertStatic().quantize(job)
    data = quantized.artefact.path.read_bytes()
    quantized.artefact.path.write_bytes(data.replace(b"scores", b"stores"))
    return quantized


def refusing(job: QuantizeJob) -> Quantized:
    """Leaves half a file and gives up."""
    (job.folder / "model.tflite").write_bytes(b"half")
    raise ConversionError("no kernel for SEARCH at net/find", hint="Rewrite it.")


def missing(job: QuantizeJob) -> Quantized:
    """As where a package is not installed."""
    raise MissingError("tensorflow is not installed", hint="pip install it")


STAND_INS: dict[str, Callable[[QuantizeJob], Quantized]] = {
    function.__name__: function
    for function in (coarse, with_float_ends, crashing, renaming, refusing, missing)
}


class StandInEntry(MethodEntry):
    """A row without a module of its own."""

    def load(self) -> Any:
        def quantize(job: QuantizeJob) -> Quantized:
            made = STAND_INS[self.module](job)
            return dataclasses.replace(
                made, artefact=dataclasses.replace(made.artefact, method=self.module)
            )

        return SimpleNamespace(quantize=quantize)


def entry(name: str) -> MethodEntry:
    """The row of a stand-in: full-integer, from a float ``.tflite``."""
    return StandInEntry(
        module=name,
        accepts=(ModelKind.FLOAT_TFLITE,),
        produces=ArtefactFormat.TFLITE,
        requires=(),
        install="",
        summary="",
        options=(),
        full_integer=True,
    )
