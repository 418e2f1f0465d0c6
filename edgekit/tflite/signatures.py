"""One signature of several: the function of a file that a recipe means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edgekit.errors import SourceError
from edgekit.tflite import flatbuffer
from edgekit.tflite.metadata import ENTRY
from edgekit.tflite.metadata_read import read_metadata
from edgekit.tflite.metadata_write import with_metadata

DEFAULT_SIGNATURE = "serving_default"


def with_signature(data: bytes, wanted: str | None, name: str = "model") -> bytes:
    """Only what the signature ``wanted`` needs: its subgraph becomes the main one.

    Without a wish it is the one named serving_default, or the only one. Unchanged bytes where the
    file has no other and nothing was asked of it.

    Raises:
        SourceError: no such signature, or none that is meant; lists those there are.
    """
    model = flatbuffer.unpack(data, name)
    found = {flatbuffer.text(one.signatureKey): one for one in model.signatureDefs or ()}
    chosen = _choose(tuple(found), wanted, name)
    if chosen is None or (len(found) == 1 and found[chosen].subgraphIndex == 0):
        return data
    described = read_metadata(data, name)
    signature = found[chosen]
    main = signature.subgraphIndex
    try:
        _keep(model, main)
    except (IndexError, TypeError) as error:
        raise SourceError(
            f"{name} is damaged: a graph that signature {chosen} calls is not there",
            hint="Copy or convert the file again.",
        ) from error
    signature.subgraphIndex, model.signatureDefs = 0, [signature]
    if main != 0:  # what the file said was about another function
        kept = [entry for entry in model.metadata or () if flatbuffer.text(entry.name) != ENTRY]
        model.metadata, described = kept, None
    _empty_unused_buffers(model)
    packed = flatbuffer.pack(model)
    return packed if described is None else with_metadata(packed, described)


def with_input_shapes(data: bytes, shapes: Mapping[int, tuple[int, ...]]) -> bytes:
    """Fix sizes that the main graph's inputs leave open: ``shapes`` by tensor index.

    The tensors in between keep the sizes they were written with; the runtime computes its own.
    """
    model = flatbuffer.unpack(data)
    for index, shape in shapes.items():
        tensor = model.subgraphs[0].tensors[index]
        tensor.shape, tensor.shapeSignature = np.array(shape, np.int32), None
    return flatbuffer.pack(model)


def signature_meant(found: Collection[str], wanted: str | None) -> str | None:
    """``wanted``, else the one named serving_default, else the only one; ``None`` where ``found``
    has no such."""
    if wanted is not None:
        return wanted if wanted in found else None
    if DEFAULT_SIGNATURE in found:
        return DEFAULT_SIGNATURE
    return next(iter(found)) if len(found) == 1 else None


def _choose(found: tuple[str, ...], wanted: str | None, name: str) -> str | None:
    listed = ", ".join(found) or "none"
    chosen = signature_meant(found, wanted)
    if chosen is None and wanted is not None:
        raise SourceError(
            f"{name} has no signature {wanted}; it has {listed}",
            hint="Correct model.signature." if found else "Leave out model.signature.",
        )
    if chosen is None and found:
        raise SourceError(
            f"{name} has several signatures: {listed}",
            hint="Say which one is meant, with model.signature.",
        )
    return chosen


def _keep(model: Any, main: int) -> None:
    """Leave ``main`` and the subgraphs it calls, itself first."""
    order = [main]
    for position in order:  # grows while it is gone through
        for operator in model.subgraphs[position].operators or ():
            called = [getattr(*place) for place in flatbuffer.subgraph_fields(operator)]
            order += [one for one in dict.fromkeys(called) if one >= 0 and one not in order]
    place = {old: new for new, old in enumerate(order)}
    for position in order:
        for operator in model.subgraphs[position].operators or ():
            for options, field in flatbuffer.subgraph_fields(operator):
                called = getattr(options, field)
                setattr(options, field, place.get(called, called))
    model.subgraphs = [model.subgraphs[position] for position in order]


def _empty_unused_buffers(model: Any) -> None:
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors or ()}
    used |= {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
