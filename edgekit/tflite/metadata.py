"""What a .tflite file says of itself, in the standard metadata schema: the values, not the bytes.

The schema is tflite-support's metadata_schema.fbs, version 1.5.0. Slot numbers and enum values of
the few of its tables that edgekit writes and reads stand here, once for both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

ENTRY = "TFLITE_METADATA"
"""Name of the entry in the model's own list of metadata."""
FILE_IDENTIFIER = b"M001"

Colour = Literal["RGB", "GRAY", "unknown"]


@dataclass(frozen=True)
class ImageContent:
    """The tensor holds an image. The schema has no name for BGR: that is ``unknown``.

    ``width`` and ``height`` are pixels, 0 where not said.
    """

    colour: Colour = "unknown"
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class AudioContent:
    """The tensor holds sound: samples a second, channels."""

    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class FeatureContent:
    """The tensor holds numbers: features on the way in, scores on the way out."""


Content = ImageContent | AudioContent | FeatureContent


@dataclass(frozen=True)
class Normalization:
    """``(x - mean) / std``, one value or one a channel; for an image, x is a pixel of 0 to 255.

    It is that of the float model, also in a quantized one: the result is then stored by the
    tensor's own scale and zero point (as the schema's text on NormalizationOptions says).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class TensorMetadata:
    """One input or output. Numbers are float32 in the file; labels are one line each.

    ``minimum`` and ``maximum`` are of the values as the tensor stores them, one or one a channel.
    ``labels`` name the positions along the tensor's last axis.
    """

    name: str = ""
    description: str = ""
    content: Content | None = None
    normalization: Normalization | None = None
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelMetadata:
    """A model and its ends, in the order of the graph's. Empty texts stand for what is not said."""

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()


class ModelSlot(IntEnum):
    """Fields of the table ModelMetadata."""

    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPHS = 3
    AUTHOR = 4
    LICENSE = 5
    MIN_PARSER_VERSION = 7


MODEL_SLOTS = 8


class SubgraphSlot(IntEnum):
    """Fields of the table SubGraphMetadata."""

    INPUTS = 2
    OUTPUTS = 3


SUBGRAPH_SLOTS = 10


class TensorSlot(IntEnum):
    """Fields of the table TensorMetadata."""

    NAME = 0
    DESCRIPTION = 1
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    FILES = 6


TENSOR_SLOTS = 7


class FileSlot(IntEnum):
    """Fields of the table AssociatedFile."""

    NAME = 0
    TYPE = 2


FILE_SLOTS = 5


class ContentType(IntEnum):
    """Members of the union ContentProperties."""

    FEATURE = 1
    IMAGE = 2
    AUDIO = 4


class ColourSpace(IntEnum):
    """Values of ColorSpaceType."""

    UNKNOWN = 0
    RGB = 1
    GRAYSCALE = 2


COLOURS: dict[ColourSpace, Colour] = {
    ColourSpace.UNKNOWN: "unknown",
    ColourSpace.RGB: "RGB",
    ColourSpace.GRAYSCALE: "GRAY",
}
NORMALIZATION_UNIT = 1
"""Member of the union ProcessUnitOptions."""
AXIS_LABELS = 2
"""Value of AssociatedFileType: names of the positions along an axis."""
