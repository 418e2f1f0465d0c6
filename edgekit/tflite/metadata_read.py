"""Read a model's description of itself. Nothing in the bytes is trusted."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import SourceError
from edgekit.tflite import flatbuffer
from edgekit.tflite.metadata import (
    AXIS_LABELS,
    COLOURS,
    ENTRY,
    FILE_IDENTIFIER,
    NORMALIZATION_UNIT,
    AudioContent,
    ColourSpace,
    Content,
    ContentType,
    FeatureContent,
    FileSlot,
    ImageContent,
    ModelMetadata,
    ModelSlot,
    Normalization,
    SubgraphSlot,
    TensorMetadata,
    TensorSlot,
)

_LABELS_BYTES_MAX = 16 << 20
_HINT = "Have the tool that wrote the metadata write it again, or remove it from the file."


def read_metadata(file: bytes | Path, name: str = "model") -> ModelMetadata | None:
    """The metadata of a .tflite file or its bytes, which ``name`` names; ``None`` where it has
    none.

    Of several subgraphs the first counts, of several label files of a tensor likewise; what the
    schema has beyond ``ModelMetadata`` is passed over.

    Raises:
        SourceError: unreadable, no .tflite file, or its metadata is damaged: says how.
    """
    if isinstance(file, Path):
        name = str(file)
        try:
            file = file.read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {name}: {error.strerror}") from error
    model = flatbuffer.unpack(file, name)
    found = [entry for entry in model.metadata or () if flatbuffer.text(entry.name) == ENTRY]
    if not found:
        return None
    try:
        if not 0 <= found[0].buffer < len(model.buffers or ()):
            raise ValueError("the buffer it names is not there")
        content = model.buffers[found[0].buffer].data
        return decode(b"" if content is None else bytes(content), lambda path: _file(file, path))
    except ValueError as error:
        raise SourceError(f"the metadata of {name} is damaged: {error}", hint=_HINT) from error


def decode(content: bytes, read_file: Callable[[str], bytes]) -> ModelMetadata:
    """The values in a metadata flatbuffer; ``read_file`` gives the associated file of a name.

    Raises:
        ValueError: what is wrong with it.
    """
    if content[4:8] != FILE_IDENTIFIER:
        raise ValueError(f"its bytes 4 to 8 are {content[4:8]!r}, not 'M001'")
    root = _Table(content, _unpack(content, "<I", 0))
    subgraphs = root.tables(ModelSlot.SUBGRAPHS)

    def ends(slot: SubgraphSlot) -> tuple[TensorMetadata, ...]:
        tables = subgraphs[0].tables(slot) if subgraphs else ()
        return tuple(_tensor(table, read_file) for table in tables)

    return ModelMetadata(
        name=root.text(ModelSlot.NAME),
        description=root.text(ModelSlot.DESCRIPTION),
        version=root.text(ModelSlot.VERSION),
        author=root.text(ModelSlot.AUTHOR),
        license=root.text(ModelSlot.LICENSE),
        inputs=ends(SubgraphSlot.INPUTS),
        outputs=ends(SubgraphSlot.OUTPUTS),
    )


def _tensor(table: _Table, read_file: Callable[[str], bytes]) -> TensorMetadata:
    stats = table.table(TensorSlot.STATS)
    return TensorMetadata(
        name=table.text(TensorSlot.NAME),
        description=table.text(TensorSlot.DESCRIPTION),
        content=_content(table.table(TensorSlot.CONTENT)),
        normalization=_normalization(table.tables(TensorSlot.PROCESS_UNITS)),
        minimum=stats.floats(1) if stats else (),
        maximum=stats.floats(0) if stats else (),
        labels=_labels(table.tables(TensorSlot.FILES), read_file),
    )


def _content(table: _Table | None) -> Content | None:
    properties = table.table(1) if table else None
    if table is None or properties is None:
        return None
    match table.number(0, "<B"):
        case ContentType.FEATURE:
            return FeatureContent()
        case ContentType.IMAGE:
            space, size = properties.number(0, "<B"), properties.table(1)
            return ImageContent(
                COLOURS[ColourSpace(space)] if space in COLOURS else "unknown",
                width=size.number(0, "<I") if size else 0,
                height=size.number(1, "<I") if size else 0,
            )
        case ContentType.AUDIO:
            return AudioContent(properties.number(0, "<I"), properties.number(1, "<I"))
        case _:  # bounding boxes, and what later versions bring
            return None


def _normalization(units: tuple[_Table, ...]) -> Normalization | None:
    for unit in units:
        options = unit.table(1)
        if unit.number(0, "<B") == NORMALIZATION_UNIT and options is not None:
            mean, std = options.floats(0), options.floats(1)
            if not mean or not std or 0 in std:
                raise ValueError(f"it normalises with mean {list(mean)} and std {list(std)}")
            return Normalization(mean, std)
    return None


def _labels(files: tuple[_Table, ...], read_file: Callable[[str], bytes]) -> tuple[str, ...]:
    for file in files:
        if file.number(FileSlot.TYPE, "<B") == AXIS_LABELS:
            path = file.text(FileSlot.NAME)
            try:
                text = read_file(path).decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"its file {path} is not UTF-8 text ({error.reason})") from error
            lines = text.removesuffix("\n").split("\n")
            return tuple(line.removesuffix("\r") for line in lines)
    return ()


def _file(data: bytes, path: str) -> bytes:
    """The associated file ``path``, from the zip behind the flatbuffer."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = archive.getinfo(path)
            if member.file_size > _LABELS_BYTES_MAX:
                raise ValueError(f"its file {path} has {member.file_size} bytes")
            return archive.read(member)
    except KeyError as error:
        raise ValueError(f"it names the file {path}, which is not packed with it") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError) as error:
        raise ValueError(f"its file {path} cannot be unpacked: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way unknown
        raise ValueError(f"its file {path} cannot be unpacked: {error}") from error


@dataclass(frozen=True)
class _Table:
    """One table of a flatbuffer; whatever points out of the bytes is a ValueError."""

    data: bytes
    position: int

    def number(self, slot: int, form: str) -> int:
        at = self._field(slot)
        return int(_unpack(self.data, form, at)) if at else 0

    def table(self, slot: int) -> _Table | None:
        at = self._field(slot)
        return _Table(self.data, self._follow(at)) if at else None

    def text(self, slot: int) -> str:
        at = self._field(slot)
        if not at:
            return ""
        start = self._follow(at)
        try:
            return self._bytes(start + 4, _unpack(self.data, "<I", start)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"it has a text that is not UTF-8 ({error.reason})") from error

    def tables(self, slot: int) -> tuple[_Table, ...]:
        start, count = self._vector(slot, item_bytes=4)
        return tuple(
            _Table(self.data, self._follow(at)) for at in range(start, start + 4 * count, 4)
        )

    def floats(self, slot: int) -> tuple[float, ...]:
        start, count = self._vector(slot, item_bytes=4)
        return struct.unpack(f"<{count}f", self._bytes(start, 4 * count))

    def _vector(self, slot: int, *, item_bytes: int) -> tuple[int, int]:
        """First item and number of items; a vector that is not there has none."""
        at = self._field(slot)
        if not at:
            return 0, 0
        start = self._follow(at)
        count = _unpack(self.data, "<I", start)
        self._bytes(start + 4, count * item_bytes)
        return start + 4, count

    def _field(self, slot: int) -> int:
        """Where a field stands, 0 if the table does not have it."""
        vtable = self.position - _unpack(self.data, "<i", self.position)
        at = 4 + 2 * slot
        if at >= _unpack(self.data, "<H", vtable):
            return 0
        offset = _unpack(self.data, "<H", vtable + at)
        return self.position + offset if offset else 0

    def _follow(self, at: int) -> int:
        return at + int(_unpack(self.data, "<I", at))

    def _bytes(self, start: int, length: int) -> bytes:
        if start + length > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)} and points to {start + length}")
        return self.data[start : start + length]


def _unpack(data: bytes, form: str, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(form):
        raise ValueError(f"it ends at byte {len(data)} and points to {at}")
    value: int = struct.unpack_from(form, data, at)[0]
    return value
