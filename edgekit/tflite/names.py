"""Names a person can read: of layers inside the graph, and of its inputs and outputs.

litert-torch names a tensor by every module and source operator it came from; on MobileNetV2 that
is 90 KB of a 4 MB file and no line of it fits a terminal. The module path alone says the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgekit.tflite import flatbuffer

# One step of a path: "package.module.Class_attribute".
_STEP = re.compile(r"(?:[\w<>]+\.)*[A-Za-z]\w*?_(?P<attribute>\w+)$")


def readable_names(data: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Rename all tensors to short unique paths, and the signature's ends to the given names.

    Raises:
        ValueError: ``inputs`` or ``outputs`` are not as many as the graph's.
    """
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    for ends, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        if len(ends) != len(names):
            raise ValueError(f"{len(names)} names ({', '.join(names)}) for {len(ends)} tensors")
    fixed = dict(zip(map(int, graph.inputs), inputs, strict=True))
    fixed |= dict(zip(map(int, graph.outputs), outputs, strict=True))
    taken = set(fixed.values())
    for index, tensor in enumerate(graph.tensors):
        if index in fixed:
            tensor.name = fixed[index].encode()
            continue
        name = base = layer_path(flatbuffer.text(tensor.name)) or f"tensor_{index}"
        suffix = 1
        while name in taken:
            suffix += 1
            name = f"{base}:{suffix}"
        taken.add(name)
        tensor.name = name.encode()
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex != 0:
            continue
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            if entry.tensorIndex in fixed:
                entry.name = fixed[entry.tensorIndex].encode()
    return flatbuffer.pack(model)


def layer_path(name: str) -> str:
    """``"…Sequential_features/….ReLU6_2;;…"`` becomes ``"features.2"``; other names are kept.

    Only the first of several fused names counts: it is the last operator of the fused group.
    """
    first = name.split(";", 1)[0]
    if "/" not in first:
        return first
    attributes = []
    for step in first.split("/"):
        match = _STEP.fullmatch(step)
        if match is None:
            return first
        attributes.append(match["attribute"])
    # The outermost step is the exported module itself, held by our own wrapper.
    return ".".join(attributes[1:]) or attributes[0]
