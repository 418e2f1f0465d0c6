"""What equalization multiplied each channel by, read from the weights before and after.

A model whose channels were equalized before it was quantized computes the same function, but the
tensor between a layer and a depthwise convolution holds every channel times a factor of its own.
Its values are comparable with the float model's only once that factor is taken out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import constant_array
from edgekit.tflite.graph import Op, Tensor, parse_graph
from edgekit.tflite.links import LAYERS, find_links
from edgekit.types import Array

LEAST_FACTOR = 1.1
"""Rounding to 8 bits alone moves a channel's weights by less than this."""
FIT = 0.1
"""How far, in natural logarithms and at the median, what was divided by may be from what was
multiplied by: other changes of the weights are errors, to be shown as such."""


def channel_factors(reference: bytes, quantized: bytes) -> dict[int, Array]:
    """float64 [channels] by index of the float model's activation; empty where nothing was
    equalized. Of each channel, the least-squares fit of its weights in one model to those in the
    other."""
    before, after = _Weights(reference), _Weights(quantized)
    found: dict[int, Array] = {}
    links = find_links(before.graph)
    writers = {link.writer.index for link in links}
    for link in links:
        gain = _gain(before, after, link.writer)
        if gain is None:
            continue
        if link.writer.name == "DEPTHWISE_CONV_2D" and link.writer.inputs[0] in found:
            gain = gain * _repeated(found[link.writer.inputs[0]], len(gain))
        if np.abs(np.log(gain)).max() < np.log(LEAST_FACTOR):
            continue
        # A reader that is equalized towards its own readers is multiplied once more, smoothly or
        # not.
        if all(
            reader.index in writers or _divides(before, after, reader, gain)
            for reader in link.readers
        ):
            found |= dict.fromkeys(link.tensors, gain)
    return found


class _Weights:
    """The weights of one model by the name of the layer they belong to."""

    def __init__(self, data: bytes) -> None:
        self.graph = parse_graph(data)
        self._model = flatbuffer.unpack(data)
        self.layers = {self.graph.layer(op): op for op in self.graph.ops if op.name in LAYERS}

    def of(self, op: Op) -> Array | None:
        """Real values, or ``None`` where they are computed."""
        tensor = self.graph.tensors[op.inputs[1]]
        if not tensor.constant:
            return None
        raw: Any = self._model.subgraphs[0].tensors[tensor.index]
        return _real(constant_array(self._model, raw), tensor)


def _real(values: Array, tensor: Tensor) -> Array:
    if not tensor.scales:
        return values.astype(np.float64)
    along = [1] * values.ndim
    along[tensor.axis] = -1
    scales = np.array(tensor.scales)
    zero_points = np.array(tensor.zero_points or (0,))
    stored = values.astype(np.float64)
    if len(scales) == 1:
        return np.asarray((stored - zero_points[0]) * scales[0])
    return np.asarray((stored - zero_points.reshape(along)) * scales.reshape(along))


def _gain(before: _Weights, after: _Weights, op: Op) -> Array | None:
    """By output channel, what the weights of ``op`` were multiplied by; 1 for a dead one."""
    twin = after.layers.get(before.graph.layer(op))
    if op.name not in LAYERS or twin is None:
        return None
    old, new = before.of(op), after.of(twin)
    if old is None or new is None or old.shape != new.shape:
        return None
    axis = 3 if op.name == "DEPTHWISE_CONV_2D" else 0
    old, new = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (old, new))
    power, product = (old * old).sum(axis=1), (old * new).sum(axis=1)
    # A channel that rounding or damage made zero, or turned round, was not equalized.
    sound = (power > 0) & (product > 0)
    return np.where(sound, product / np.where(power > 0, power, 1.0), 1.0)


def _divides(before: _Weights, after: _Weights, reader: Op, factor: Array) -> bool:
    gain = _gain(before, after, reader)
    if gain is None:
        return False
    own = gain * _repeated(factor, len(gain))
    return float(np.median(np.abs(np.log(own)))) < FIT


def _repeated(factor: Array, channels: int) -> Array:
    return np.repeat(factor, channels // len(factor))
