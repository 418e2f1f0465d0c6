"""Signatures: the named ends by which an app finds a model's inputs and outputs."""

from __future__ import annotations

from edgekit.tflite import flatbuffer


def restore_signatures(data: bytes, original: bytes) -> bytes:
    """Let the signatures of ``data`` name the ends they name in ``original``.

    Both have the same signatures, and as many inputs and outputs in the same order. For an editor
    that puts another tensor at an end (a QUANTIZE behind it) and leaves the signature pointing to
    the old one, which no runtime can then read. Unchanged bytes where all is right.
    """
    model, reference = flatbuffer.unpack(data), flatbuffer.unpack(original)
    changed = False
    pairs = zip(model.signatureDefs or (), reference.signatureDefs or (), strict=True)
    for found, wanted in pairs:
        graph = model.subgraphs[found.subgraphIndex]
        before = reference.subgraphs[wanted.subgraphIndex]
        for ends in ("inputs", "outputs"):
            now = zip(map(int, getattr(before, ends)), map(int, getattr(graph, ends)), strict=True)
            moved = dict(now)
            named = {entry.name: moved[entry.tensorIndex] for entry in getattr(wanted, ends)}
            for entry in getattr(found, ends):
                if entry.tensorIndex != named[entry.name]:
                    entry.tensorIndex = named[entry.name]
                    changed = True
    return flatbuffer.pack(model) if changed else data
