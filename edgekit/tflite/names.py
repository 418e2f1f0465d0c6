"""Names a person can read: of layers inside the graph, and of its inputs and outputs.

litert-torch names a tensor by every module and source operator it came from; on MobileNetV2 that
is 90 KB of a 4 MB file and no line of it fits a terminal. The module path alone says the same.
TFLiteConverter calls the outputs Identity and, given a function, writes no signature.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from edgekit.tflite import flatbuffer

# One step of a path below its root: "package.module.Class_attribute".
_STEP = re.compile(r"^(?:[\w<>]+\.)*_*[A-Za-z][A-Za-z0-9]*_(?P<attribute>\w+)$")
_WHOLE_MODEL = "model"
# A step that only says that a function was called: SavedModels are full of them.
_CALL = re.compile(r"^(?:Stateful)?PartitionedCall(?:_\d+)?$")


def readable_names(data: bytes, inputs: Sequence[str], outputs: Sequence[str], root: str) -> bytes:
    """Rename all tensors to short unique paths, and the signature's ends to the given names.

    ``root`` is the qualified name of the exported module's class, as in ``layer_path``.

    Raises:
        ValueError: ``inputs`` or ``outputs`` are not as many as the graph's.
    """
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    _rename(model, inputs, outputs, lambda name: layer_path(name, root))
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == 0:
            _rename_ends(signature.inputs, graph.inputs, inputs)
            _rename_ends(signature.outputs, graph.outputs, outputs)
    return flatbuffer.pack(model)


def tensorflow_names(
    data: bytes, inputs: Sequence[str], outputs: Sequence[str], *, signature: str
) -> bytes:
    """Rename all tensors to short unique layer names, and write the one ``signature``.

    Its inputs and outputs are those of the main subgraph, in order, under the given names; a tensor
    may be several of them.

    Raises:
        ValueError: ``inputs`` or ``outputs`` are not as many as the graph's.
    """
    model = flatbuffer.unpack(data)
    taken = _rename(model, inputs, outputs, tensorflow_layer)
    for inner in model.subgraphs[1:]:
        for tensor in inner.tensors:
            tensor.name = _unique(tensorflow_layer(flatbuffer.text(tensor.name)), taken).encode()
    graph = model.subgraphs[0]
    made = flatbuffer.make_signature(
        signature,
        zip(inputs, map(int, graph.inputs), strict=True),
        zip(outputs, map(int, graph.outputs), strict=True),
    )
    model.signatureDefs = [made]
    return flatbuffer.pack(model)


def _rename(
    model: Any, inputs: Sequence[str], outputs: Sequence[str], layer: Callable[[str], str]
) -> set[str]:
    """Name the main subgraph's ends as given, its other tensors by ``layer``, numbered where that
    is taken. Returns the names in use."""
    graph = model.subgraphs[0]
    for ends, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        if len(ends) != len(names):
            raise ValueError(f"{len(names)} names ({', '.join(names)}) for {len(ends)} tensors")
    # A tensor that is several ends at once is called by the first of its names.
    fixed: dict[int, str] = {}
    for index, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        fixed.setdefault(int(index), name)
    taken = {*inputs, *outputs}
    # Activations first: the plain name of a layer is that of its output, not of its weights.
    constant = [flatbuffer.is_constant(model, tensor) for tensor in graph.tensors]
    for index in sorted(range(len(constant)), key=constant.__getitem__):
        tensor = graph.tensors[index]
        name = fixed.get(index) or _unique(layer(flatbuffer.text(tensor.name)), taken)
        tensor.name = name.encode()
    return taken


def unique_names(data: bytes) -> bytes:
    """Number the tensors that share a name or have none; signatures keep theirs.

    The bytes are returned unchanged when there is nothing to do. Ranges go to the quantizer by
    tensor name, so two tensors of one name would share a range.
    """
    model = flatbuffer.unpack(data)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    names = [flatbuffer.text(tensor.name) for tensor in tensors]
    if all(names) and len(set(names)) == len(names):
        return data
    used = Counter(names)
    taken = {name for name, count in used.items() if count == 1}
    for tensor, name in zip(tensors, names, strict=True):
        if used[name] > 1 or not name:
            tensor.name = _unique(name, taken).encode()
    return flatbuffer.pack(model)


def layer_path(name: str, root: str) -> str:
    """``"<root>/….Net_model/….Sequential_features/….ReLU6_2;…"`` becomes ``"features.2"``.

    Names that do not begin with ``root`` are kept. The step below it is the user's model, held by
    our wrapper: no part of the path. Only the first of several fused names counts: it is the last
    operator of the fused group.
    """
    first = name.split(";", 1)[0]
    head, *steps = first.split("/")
    if head != root:
        return first
    path = [_STEP.sub(r"\g<attribute>", step) for step in steps]
    return ".".join(path[1:]) or _WHOLE_MODEL


def tensorflow_layer(name: str) -> str:
    """``"StatefulPartitionedCall/net_1/conv_1/Relu;net_1/…"`` becomes ``"net_1/conv_1"``.

    The last step is TensorFlow's name of the operator itself, dropped where a layer made it. Only
    the first of several fused names counts.
    """
    first = name.split(";", 1)[0]
    steps = [step for step in first.split("/") if not _CALL.match(step)]
    return "/".join(steps[:-1] or steps) or first


def _unique(base: str, taken: set[str]) -> str:
    """``base``, or ``base:2`` and so on; added to ``taken``."""
    base = base or "tensor"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}:{number}"
    taken.add(name)
    return name


def _rename_ends(entries: Any, indices: Sequence[int], names: Sequence[str]) -> None:
    """A tensor that is returned twice gets its names in turn."""
    waiting: dict[int, list[str]] = {}
    for index, name in zip(indices, names, strict=True):
        waiting.setdefault(int(index), []).append(name)
    for entry in entries or ():
        if waiting.get(entry.tensorIndex):
            entry.name = waiting[entry.tensorIndex].pop(0).encode()
