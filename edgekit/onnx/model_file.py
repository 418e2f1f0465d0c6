"""Read and write ``.onnx`` files; where their weights lie, and what their metadata says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from edgekit.errors import MissingError, SourceError
from edgekit.onnx.ops import graphs, nodes
from edgekit.runtimes.onnx_loading import LAYOUTS_PROPERTY

if TYPE_CHECKING:
    from edgekit.recipe.schema import InputSpec

MAX_PROTOBUF_BYTES = 2**31 - 1
_TEXT_HEAD = 256


def require_onnx() -> Any:
    """The package ``onnx``.

    Raises:
        MissingError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingError(
            "reading an .onnx model needs the package onnx, which is not installed",
            hint="pip install 'edgekit[onnx]'",
        ) from error
    return onnx


def read_model(file: Path, name: str | None = None) -> Any:
    """The ``ModelProto`` in ``file``; tensors in external data stay there. ``name`` is what the
    user calls the file.

    Raises:
        SourceError: unreadable, over 2 GB, or no ONNX model.
        MissingError: the package onnx is not installed.
    """
    onnx = require_onnx()
    name = name or str(file)
    try:
        size_bytes = file.stat().st_size
        if size_bytes > MAX_PROTOBUF_BYTES:
            raise SourceError(
                f"{name} has {size_bytes / 1e9:.1f} GB; a protobuf message, which an .onnx file "
                "is, ends at 2 GB",
                hint="Save it with its weights beside it: "
                "onnx.save_model(model, path, save_as_external_data=True)",
            )
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror}") from error
    if not data:
        raise SourceError(f"{name} is empty", hint="Copy or export the file again.")
    if _is_text(data):
        raise SourceError(
            f"{name} is a text file, no ONNX model: it begins with "
            f"{data[:40].decode('utf-8', 'replace').splitlines()[0]!r}",
            hint="Is it the pointer of a Git LFS file, or a page of a download that failed?",
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's implementations raise types of their own
        raise SourceError(
            f"{name} is no ONNX model, or not all of one: its {size_bytes} bytes end in the "
            "middle, or are another format",
            hint="Copy or export the file again.",
        ) from error
    if not model.ir_version or not model.opset_import or not model.graph.output:
        raise SourceError(
            f"{name} is no ONNX model: it names no version, operator set or output",
            hint="Copy or export the file again.",
        )
    _refuse_broken_names(model, name)
    return model


def external_data(model: Any, folder: Path, name: str) -> dict[str, Path]:
    """The files that hold tensors of ``model``, by their path relative to ``folder``.

    Raises:
        SourceError: a path that is absolute or leaves the folder, also by a link; a file that is
            missing or too short.
    """
    found: dict[str, Path] = {}
    root = folder.resolve()
    for tensor in tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in found:
            found[location] = _inside(location, root, tensor.name, name)
        _check_extent(tensor, entries, found[location], name)
    return found


def tensors(model: Any) -> Iterable[Any]:
    """Every ``TensorProto`` of ``model``: initializers and constants, those of inner graphs too."""
    for graph in graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    for node in (node for body in bodies for node in nodes(body)):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def write_model(model: Any, file: Path) -> None:
    """Write ``model`` so that ``file`` is there whole or not at all; external data stays put."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def with_layouts(model: Any, inputs: Iterable[InputSpec]) -> Any:
    """A copy of the ``ModelProto`` whose metadata says which of its inputs are images, and how
    their axes are ordered: what a session opened on the bare file goes by.

    Inputs of layout ``any`` are not mentioned.
    """
    made = type(model)()
    made.CopyFrom(model)
    kept = [prop for prop in model.metadata_props if prop.key != LAYOUTS_PROPERTY]
    del made.metadata_props[:]
    made.metadata_props.extend(kept)
    layouts = {spec.name: spec.layout for spec in inputs if spec.layout != "any"}
    if layouts:
        made.metadata_props.add(
            key=LAYOUTS_PROPERTY, value=json.dumps(layouts, ensure_ascii=False, sort_keys=True)
        )
    return made


def _is_text(data: bytes) -> bool:
    head = data[:_TEXT_HEAD]
    return bool(head) and all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _refuse_broken_names(message: Any, name: str) -> None:
    """Protobuf gives a name that is not UTF-8 as bytes, which nothing after this expects."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        if field.type == field.TYPE_MESSAGE:
            for inner in values:
                _refuse_broken_names(inner, name)
        elif field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in values):
            raise SourceError(
                f"{name} is damaged: a {field.name} in a {message.DESCRIPTOR.name} is not UTF-8",
                hint="Copy or export the file again.",
            )


def _inside(location: str, root: Path, tensor: str, name: str) -> Path:
    """The file at ``location``, which lies in ``root`` with all links followed."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    sound = parts and not {"..", "/"} & set(parts) and "\0" not in location
    path = root / location
    if not sound or PureWindowsPath(location).anchor or root not in path.resolve().parents:
        raise SourceError(
            f"{name} keeps tensor {tensor} in {location or 'a file without a name'!r}, "
            "outside its own folder",
            hint="Nothing outside is read. Put the data beside the model and save it with a path "
            "relative to it.",
        )
    if not path.is_file():
        raise SourceError(
            f"{name} keeps tensor {tensor} in {location}, which is not there",
            hint=f"Put that file beside the model, as {path.relative_to(root)} in its folder.",
        )
    return path


def _check_extent(tensor: Any, entries: Mapping[str, str], path: Path, name: str) -> None:
    have = path.stat().st_size
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or _size_bytes(tensor))
    except ValueError as error:
        raise SourceError(
            f"{name} is damaged: where tensor {tensor.name} lies in {path.name} is no number"
        ) from error
    if offset < 0 or length < 0 or offset + length > have:
        raise SourceError(
            f"{name} keeps tensor {tensor.name} at bytes {offset} to {offset + length} of "
            f"{path.name}, which has {have}",
            hint="The two files do not belong together, or one is cut off; export them again.",
        )


def _size_bytes(tensor: Any) -> int:
    dtype = require_onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(prod(tensor.dims)) * int(dtype.itemsize)
