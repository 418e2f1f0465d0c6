"""The frozen values that rooms exchange. Arrays are NumPy; images are channels-last.

A model that is channels-first (PyTorch) is permuted inside its own session: whoever feeds a
session never sees another layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
"""Named input arrays of one invocation, batch dimension included."""


class ModelKind(StrEnum):
    """What a model is at one point on its way from source to artefact."""

    TORCH_MODULE = "torch_module"
    EXPORTED_PROGRAM = "exported_program"
    TORCHSCRIPT = "torchscript"
    FLOAT_TFLITE = "float_tflite"
    KERAS = "keras"
    SAVED_MODEL = "saved_model"
    CONCRETE_FUNCTION = "concrete_function"
    ONNX = "onnx"


class ArtefactFormat(StrEnum):
    """What a method produces; the value is also the file's extension in the run folder."""

    TFLITE = "tflite"
    PT2 = "pt2"
    TORCHSCRIPT = "ts"
    ONNX = "onnx"


class Role(StrEnum):
    """What a sample may be used for. The three never share an image."""

    CALIBRATION = "calibration"
    DEV = "dev"
    EVAL = "eval"


@dataclass(frozen=True)
class QuantParams:
    """Affine quantization of one whole tensor: ``real = scale * (stored - zero_point)``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a model as its runtime states it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: QuantParams | None = None


@dataclass(frozen=True)
class Sample:
    """One evaluation or calibration sample, preprocessed.

    ``id`` names the sample (image and crop), ``image_id`` the image it was cut from: splits are
    made on ``image_id``. ``feeds`` are float32 (or the model's own integer dtype), channels-last,
    batch of one. ``label`` is a class index for classification data, else ``None``; ``target`` the
    right answer where it is an array: values, a mask, boxes, token ids (see docs/metrics.md).
    """

    id: str
    image_id: str
    feeds: Feeds
    label: int | None = None
    target: Array | None = None


KEPT_FLOAT = "kept_float"
"""The note of an artefact that has, by layer, why the recipe left an operator float."""

RAISED_TO_FLOAT = "raised to float32 (quantize.raise_to)"
"""Why an operator is float that the recipe did not name: it allows some to be, not which."""


@dataclass(frozen=True)
class Artefact:
    """A quantized model file. ``notes`` is what its maker adds to the report; ``renamed`` goes from
    the file's own names of inputs and outputs to the model's, where they differ."""

    path: Path
    format: ArtefactFormat
    method: str
    runtime: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FloatOp:
    """An operator that computes on float activations; ``why`` where the recipe left it float."""

    op: str
    layer: str
    why: str | None = None

    def __str__(self) -> str:
        return f"{self.op} at {self.layer}"


@dataclass(frozen=True)
class ModuleFact:
    """One module with weights, as it stands in an artefact.

    ``compute`` is how it computes (``int8`` in and out, ``int8 dynamic``: float activations
    quantized on the way in, ``int8 weights``: float arithmetic, or ``float``), ``bytes`` what its
    weights occupy, ``why`` the reason it stayed float, where its maker gave one. ``bits`` are those
    that integer weights use, where they can be read; a byte may hold fewer than eight.
    """

    name: str
    type: str
    compute: Literal["int8", "int8 dynamic", "int8 weights", "float"]
    bytes: int
    why: str | None = None
    bits: int | None = None


@dataclass(frozen=True)
class ArtefactFacts:
    """What an artefact really is, whatever its format; ``None`` where the format does not tell."""

    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    ops: int | None
    float_ops: tuple[FloatOp, ...] | None
    transposes: int | None
    macs: int | None
    int8_mac_fraction: float | None
    modules: tuple[ModuleFact, ...] | None = None
    select_tf_ops: tuple[FloatOp, ...] = ()
    """Operators of TensorFlow itself, which a phone runs only with megabytes of library more."""


OperatorCompute = Literal[
    "float", "int8 weights", "int8 dynamic", "int8", "int16", "conversion", "integer"
]
"""How an operator computes: on floats; on floats with integer weights that are unpacked first; with
integer weights and float activations quantized on the way in; on 8 or 16-bit activations; between
float and integer; on integers that are no quantized values (shapes, indices)."""


@dataclass(frozen=True)
class OperatorFact:
    """One operator of a model file, in the order of the graph.

    ``reads`` and ``writes`` name its activations, by which operators connect. ``dtypes`` are those
    of activations, weights and output: ``int8 x int8 -> int8``. ``version`` is TFLite's.
    """

    op: str
    layer: str
    compute: OperatorCompute
    dtypes: str
    macs: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    version: int | None = None


@dataclass(frozen=True)
class FileFacts:
    """Everything a model file says of itself, whatever its format. A free size of an input or
    output is -1; ``metadata`` is by key, in words."""

    facts: ArtefactFacts
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: tuple[OperatorFact, ...]
    weights_bytes: int
    metadata: Mapping[str, str]
