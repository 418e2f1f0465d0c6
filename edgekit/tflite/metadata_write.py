"""Write a model's description of itself into the file, in the standard schema.

The tables lie in a buffer of the model, label files in an uncompressed zip behind the flatbuffer;
readers find them there without unpacking. The same values give the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.metadata import (
    AXIS_LABELS,
    COLOURS,
    ENTRY,
    FILE_IDENTIFIER,
    FILE_SLOTS,
    MODEL_SLOTS,
    NORMALIZATION_UNIT,
    SUBGRAPH_SLOTS,
    TENSOR_SLOTS,
    AudioContent,
    Content,
    ContentType,
    FileSlot,
    ImageContent,
    ModelMetadata,
    ModelSlot,
    SubgraphSlot,
    TensorMetadata,
    TensorSlot,
)

if TYPE_CHECKING:
    from flatbuffers import Builder

# Schema versions that first had what is written here.
_FIRST_VERSION, _WITH_AUDIO = "1.0.0", "1.3.0"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_ZIP_MODE = 0o644 << 16


def with_metadata(data: bytes, metadata: ModelMetadata) -> bytes:
    """The model in ``data`` with ``metadata`` in it, in place of any that it had.

    Raises:
        SourceError: ``data`` is no .tflite file.
        ValueError: another number of inputs or outputs than the model's, or a label of two lines.
    """
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    for what, ends, described in (
        ("inputs", graph.inputs, metadata.inputs),
        ("outputs", graph.outputs, metadata.outputs),
    ):
        if len(ends) != len(described):
            raise ValueError(f"{len(described)} {what} are described, the model has {len(ends)}")
    files = label_files(metadata)
    _set_entry(model, encode(metadata, files))
    return _with_files(flatbuffer.pack(model), files)


def label_files(metadata: ModelMetadata) -> dict[tuple[str, ...], str]:
    """The lists of labels and the name of each one's file: ``labels.txt``, ``labels_2.txt``, ..."""
    lists = dict.fromkeys(end.labels for end in (*metadata.inputs, *metadata.outputs) if end.labels)
    for label in (label for labels in lists for label in labels):
        if label.splitlines() not in ([label], []):
            raise ValueError(f"the label {label!r} is not one line")
    return {
        labels: "labels.txt" if number == 1 else f"labels_{number}.txt"
        for number, labels in enumerate(lists, start=1)
    }


def encode(metadata: ModelMetadata, files: Mapping[tuple[str, ...], str]) -> bytes:
    """The flatbuffer of ``metadata``; ``files`` names the file of each list of labels."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)

    def ends(described: Sequence[TensorMetadata]) -> int:
        return _vector(builder, [_tensor(builder, end, files) for end in described])

    subgraph = _table(
        builder,
        SUBGRAPH_SLOTS,
        offsets={
            SubgraphSlot.INPUTS: ends(metadata.inputs),
            SubgraphSlot.OUTPUTS: ends(metadata.outputs),
        },
    )
    sound = any(isinstance(e.content, AudioContent) for e in (*metadata.inputs, *metadata.outputs))
    root = _table(
        builder,
        MODEL_SLOTS,
        offsets={
            ModelSlot.NAME: _text(builder, metadata.name),
            ModelSlot.DESCRIPTION: _text(builder, metadata.description),
            ModelSlot.VERSION: _text(builder, metadata.version),
            ModelSlot.SUBGRAPHS: _vector(builder, [subgraph]),
            ModelSlot.AUTHOR: _text(builder, metadata.author),
            ModelSlot.LICENSE: _text(builder, metadata.license),
            ModelSlot.MIN_PARSER_VERSION: _text(builder, _WITH_AUDIO if sound else _FIRST_VERSION),
        },
    )
    builder.Finish(root, FILE_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: Builder, tensor: TensorMetadata, files: Mapping[tuple[str, ...], str]) -> int:
    return _table(
        builder,
        TENSOR_SLOTS,
        offsets={
            TensorSlot.NAME: _text(builder, tensor.name),
            TensorSlot.DESCRIPTION: _text(builder, tensor.description),
            TensorSlot.CONTENT: _content(builder, tensor.content),
            TensorSlot.PROCESS_UNITS: _normalization(builder, tensor),
            TensorSlot.STATS: _stats(builder, tensor),
            TensorSlot.FILES: _labels(builder, tensor, files),
        },
    )


def _content(builder: Builder, content: Content | None) -> int:
    if content is None:
        return 0
    if isinstance(content, ImageContent):
        kind, properties = ContentType.IMAGE, _image(builder, content)
    elif isinstance(content, AudioContent):
        kind = ContentType.AUDIO
        properties = _table(builder, 2, numbers={0: content.sample_rate_hz, 1: content.channels})
    else:
        kind, properties = ContentType.FEATURE, _table(builder, 0)
    return _table(builder, 3, enums={0: kind}, offsets={1: properties})


def _image(builder: Builder, content: ImageContent) -> int:
    size = 0
    if content.width or content.height:
        size = _table(builder, 2, numbers={0: content.width, 1: content.height})
    space = next(space for space, colour in COLOURS.items() if colour == content.colour)
    return _table(builder, 2, enums={0: space}, offsets={1: size})


def _normalization(builder: Builder, tensor: TensorMetadata) -> int:
    normalization = tensor.normalization
    if normalization is None:
        return 0
    options = _table(
        builder,
        2,
        offsets={0: _floats(builder, normalization.mean), 1: _floats(builder, normalization.std)},
    )
    unit = _table(builder, 2, enums={0: NORMALIZATION_UNIT}, offsets={1: options})
    return _vector(builder, [unit])


def _stats(builder: Builder, tensor: TensorMetadata) -> int:
    if not tensor.minimum and not tensor.maximum:
        return 0
    offsets = {0: _floats(builder, tensor.maximum), 1: _floats(builder, tensor.minimum)}
    return _table(builder, 2, offsets=offsets)


def _labels(builder: Builder, tensor: TensorMetadata, files: Mapping[tuple[str, ...], str]) -> int:
    if not tensor.labels:
        return 0
    name = _text(builder, files[tensor.labels])
    file = _table(
        builder, FILE_SLOTS, offsets={FileSlot.NAME: name}, enums={FileSlot.TYPE: AXIS_LABELS}
    )
    return _vector(builder, [file])


def _table(
    builder: Builder,
    slots: int,
    *,
    offsets: Mapping[int, int] | None = None,
    enums: Mapping[int, int] | None = None,
    numbers: Mapping[int, int] | None = None,
) -> int:
    """A table of ``slots`` fields. Offset 0 is a field left out; ``enums`` are one byte each,
    ``numbers`` uint32."""
    builder.StartObject(slots)
    for slot, offset in (offsets or {}).items():
        builder.PrependUOffsetTRelativeSlot(int(slot), offset, 0)
    put: Callable[[int, int, int], None]
    for put, fields in (
        (builder.PrependUint32Slot, numbers),
        (builder.PrependUint8Slot, enums),
    ):
        for slot, value in (fields or {}).items():
            put(int(slot), int(value), 0)
    return int(builder.EndObject())


def _text(builder: Builder, text: str) -> int:
    return int(builder.CreateString(text)) if text else 0


def _floats(builder: Builder, values: Iterable[float]) -> int:
    array = np.array(tuple(values), np.float32)
    return int(builder.CreateNumpyVector(array)) if array.size else 0


def _vector(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _set_entry(model: Any, content: bytes) -> None:
    """Put ``content`` under the entry's name; the buffer of an older one is taken over."""
    schema = flatbuffer.schema()
    model.metadata = model.metadata or []
    entry = next((e for e in model.metadata if flatbuffer.text(e.name) == ENTRY), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name = ENTRY.encode()
        model.buffers.append(schema.BufferT())
        entry.buffer = len(model.buffers) - 1
        model.metadata.append(entry)
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)


def _with_files(data: bytes, files: Mapping[tuple[str, ...], str]) -> bytes:
    if not files:
        return data
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for labels, name in files.items():
            member = zipfile.ZipInfo(name, _ZIP_DATE)
            member.create_system, member.external_attr = 3, _ZIP_MODE  # the same on any system
            archive.writestr(member, "\n".join(labels) + "\n")
    return stream.getvalue()
