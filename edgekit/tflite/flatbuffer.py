"""Bytes to the schema's mutable object tree and back.

The schema is the one that ai-edge-litert ships (tensorflow/lite/schema/schema.fbs). Editors in
this room take and return ``bytes``; the object tree stays inside them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any

from edgekit.errors import MissingError, SourceError

FILE_IDENTIFIER = b"TFL3"
_INITIAL_BUILDER_BYTES = 1 << 20
_BUFFER_ALIGNMENT = 16
"""What the schema demands of constants (force_align), and the generated Python code forgets."""


@cache
def schema() -> Any:
    """The generated schema module.

    Raises:
        MissingError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingError(
            "reading a .tflite file needs the package ai-edge-litert",
            hint="pip install 'edgekit[torch]', or 'edgekit[tensorflow]' for TensorFlow models",
        ) from error
    return schema_py_generated


@cache
def enum_names(enum: str) -> dict[int, str]:
    """Number to name of one schema enum, e.g. ``enum_names("BuiltinOperator")[3] == "CONV_2D"``."""
    values = vars(getattr(schema(), enum))
    return {number: name for name, number in values.items() if isinstance(number, int)}


def unpack(data: bytes, name: str = "model") -> Any:
    """Parse ``data`` into a ``ModelT``. ``name`` is what messages call it.

    Constants that lie behind the flatbuffer (files of ai-edge-quantizer have them there) are views
    into ``data``; they are brought into the tree, so that ``pack`` writes them.

    Raises:
        SourceError: not a TFLite file, or one cut short or damaged; names that are not UTF-8 are
            damage too.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise SourceError(
            f"{name} is not a .tflite file: its bytes 4 to 8 are {data[4:8]!r}, not 'TFL3'",
            hint="Give the file that the converter wrote, not an archive or a checkpoint.",
        )
    try:
        model = schema().ModelT.InitFromPackedBuf(data, 0)
        if not model.subgraphs or model.operatorCodes is None:
            raise ValueError("it holds no graph")
        for found in _names(model):
            text(found)
        _bring_in(model, data)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} is damaged: it names something {error.object[:60]!r}, which is not UTF-8",
            hint="Copy or convert the file again.",
        ) from error
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, MemoryError) as error:
        cause = "it points beyond its end" if isinstance(error, struct.error) else error
        raise SourceError(
            f"{name} is damaged: {cause}", hint="Copy or convert the file again."
        ) from error
    return model


def pack(model: Any) -> bytes:
    """Serialise a ``ModelT``; the same tree gives the same bytes. Equal vectors of numbers are
    written once."""
    from edgekit.tflite.sharing import SharingBuilder

    for buffer in model.buffers or ():
        buffer.Pack = partial(_pack_buffer, buffer)  # in place of the generated method
    builder = SharingBuilder(_INITIAL_BUILDER_BYTES)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _names(model: Any) -> Iterator[bytes | None]:
    """Everything in ``model`` that has a name; engines fail on one that is no text."""
    for code in model.operatorCodes:
        yield code.customCode
    for graph in model.subgraphs:
        yield graph.name
        yield from (tensor.name for tensor in graph.tensors or ())
    for signature in model.signatureDefs or ():
        yield signature.signatureKey
        yield from (end.name for end in (*(signature.inputs or ()), *(signature.outputs or ())))
    yield from (entry.name for entry in model.metadata or ())


def _bring_in(model: Any, data: bytes) -> None:
    import numpy as np

    for buffer in model.buffers or ():
        if buffer.offset > 1:  # 0 and 1 stand for "none"
            if buffer.offset + buffer.size > len(data):
                raise ValueError("a constant lies beyond its end")
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0


def _pack_buffer(buffer: Any, builder: Any) -> int:
    """As ``BufferT.Pack``, with the alignment."""
    code = schema()
    vector = None
    if buffer.data is not None:
        content = bytes(buffer.data)
        builder.StartVector(1, len(content), _BUFFER_ALIGNMENT)
        builder.head -= len(content)
        builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
        vector = builder.EndVector()
    code.BufferStart(builder)
    if vector is not None:
        code.BufferAddData(builder, vector)
    return int(code.BufferEnd(builder))


def builtin_of(code: Any) -> int:
    """The operator an ``OperatorCodeT`` names; files older than 2020 use the 8-bit field alone."""
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def subgraph_fields(operator: Any) -> Iterator[tuple[Any, str]]:
    """Where ``operator`` names the subgraphs it calls: the table of options and the field's name.

    Branches, conditions and bodies; -1 there stands for none.
    """
    for options in (operator.builtinOptions, getattr(operator, "builtinOptions2", None)):
        for field in vars(options) if options is not None else ():
            if field.lower().endswith("subgraphindex") or field == "subgraph":
                yield options, field


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the file holds the values of ``tensor``."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def add_operator_code(model: Any, builtin: int, version: int = 1) -> int:
    """Index of the operator code for ``builtin``, appended where the model lacks it."""
    for index, code in enumerate(model.operatorCodes):
        if builtin_of(code) == builtin and code.version >= version:
            return index
    code = schema().OperatorCodeT()
    code.builtinCode = builtin
    # Readers older than the 32-bit field look here; 127 stands for "see builtinCode".
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_tensor(
    model: Any, graph: Any, name: str, shape: tuple[int, ...], type_: int, data: Any = None
) -> int:
    """Append a tensor (a constant where ``data``, a NumPy array, is given); returns its index."""
    import numpy as np

    tensor = schema().TensorT()
    tensor.name = name.encode()
    tensor.shape = np.array(shape, dtype=np.int32)
    tensor.type = type_
    tensor.buffer = 0
    if data is not None:
        buffer = schema().BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def make_signature(
    key: str, inputs: Iterable[tuple[str, int]], outputs: Iterable[tuple[str, int]]
) -> Any:
    """A signature of the main subgraph; ends are pairs of name and tensor index."""

    def entry(name: str, index: int) -> Any:
        made = schema().TensorMapT()
        made.name, made.tensorIndex = name.encode(), index
        return made

    signature = schema().SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = key.encode(), 0
    signature.inputs = [entry(*end) for end in inputs]
    signature.outputs = [entry(*end) for end in outputs]
    return signature


def text(name: bytes | str | None) -> str:
    """A schema string as ``str``; in a tree that ``unpack`` made all of them are."""
    if name is None:
        return ""
    return name.decode("utf-8") if isinstance(name, bytes) else name
