"""INT8 ``.tflite`` files, damaged as exporters, scripts and apps damage them.

Each damage changes the object tree of a full-integer file, by a severity and a seeded generator
that chooses layers, channels, bits and signs. The file still loads and runs, and what it is (types,
operators, size) stays: nothing but its answers tells. Severity 0 is no damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.tflite import flatbuffer
from edgekit.tflite.constants import constant_array, put_constant
from edgekit.types import Array
from edgekit.zoo.train_fashion_keras import PREPROCESS

Random = np.random.Generator


@dataclass(frozen=True)
class Damage:
    """``severities`` are those of the sweep, mild ones first; ``told`` is how one is written."""

    change: Callable[[Any, float, Random], None]
    severities: tuple[float, ...]
    told: str


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix of the tree ``model``; ``axis`` is that of its output channels."""

    model: Any
    input: Any
    weights: Any
    bias: Any
    output: Any
    axis: int

    @property
    def values(self) -> Array:
        """float64 in the shape of the weights: whole numbers, as they are stored."""
        return constant_array(self.model, self.weights).astype(np.float64)

    @property
    def biases(self) -> Array:
        """float64 [channels], as stored."""
        return constant_array(self.model, self.bias).astype(np.float64)

    @property
    def scales(self) -> Array:
        """float64 [channels], of the weights."""
        found = np.array(self.weights.quantization.scale, np.float64)
        return np.broadcast_to(found, self.biases.shape)

    @property
    def sums(self) -> Array:
        """float64 [channels]: the sum of each channel's weights, as stored."""
        values = self.values
        total: Array = np.moveaxis(values, self.axis, 0).reshape(values.shape[self.axis], -1)
        return np.asarray(total.sum(axis=1))

    def along(self, per_channel: Array) -> Array:
        """Values of the channels in a shape that multiplies the weights."""
        shape = [1] * self.values.ndim
        shape[self.axis] = -1
        return per_channel.reshape(shape)

    def put(self, values: Array, biases: Array, scales: Array) -> None:
        """Weights and biases as they are stored, rounded, and the scales of the weights; the
        biases' follow, as the kernels take for granted."""
        info = np.iinfo(np.int32)
        whole = np.clip(np.rint(biases), info.min, info.max).astype(np.int32)
        put_constant(self.model, self.weights, np.clip(np.rint(values), -128, 127).astype(np.int8))
        put_constant(self.model, self.bias, whole)
        of_input = float(self.input.quantization.scale[0])
        self.weights.quantization.scale = scales.astype(np.float32)
        self.bias.quantization.scale = (scales * of_input).astype(np.float32)


def damaged(data: bytes, name: str, severity: float, seed: int) -> bytes:
    """The file ``data`` with the damage called ``name``; ``data`` itself where that changes
    nothing."""
    model = flatbuffer.unpack(data)
    before = flatbuffer.pack(model)
    if severity:
        DAMAGES[name].change(model, severity, np.random.default_rng(seed))
    after = flatbuffer.pack(model)
    return data if after == before else after


def layers(model: Any) -> list[Layer]:
    """Those with INT8 weights and a bias, in the order of the graph."""
    names = flatbuffer.enum_names("BuiltinOperator")
    tensors = model.subgraphs[0].tensors
    found = []
    for operator in model.subgraphs[0].operators:
        kind = names[flatbuffer.builtin_of(model.operatorCodes[operator.opcodeIndex])]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            source, weights, bias = (tensors[index] for index in operator.inputs[:3])
            axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
            found.append(Layer(model, source, weights, bias, tensors[operator.outputs[0]], axis))
    return found


def per_tensor(model: Any, spread: float, random: Random) -> None:
    """All weights of a layer on one scale, ``spread`` times as coarse as these need: as they get
    where one channel is so much larger than the others."""
    for layer in layers(model):
        real = layer.values * layer.along(layer.scales)
        scale = spread * np.abs(real).max() / 127
        biases = layer.biases * layer.scales / scale
        layer.put(real / scale, biases, np.full(len(biases), scale))


def scale_off(model: Any, by: float, random: Random) -> None:
    """The scales of one layer's weights times ``1 + by``; its biases keep their values."""
    layer = _one(layers(model), random)
    layer.put(layer.values, layer.biases / (1 + by), layer.scales * (1 + by))


def fewer_bits(model: Any, bits: float, random: Random) -> None:
    """The lowest bits of all weights cut off."""
    step = 2.0**bits
    for layer in layers(model):
        layer.put(np.floor(layer.values / step) * step, layer.biases, layer.scales)


def flipped_bits(model: Any, count: float, random: Random) -> None:
    """One bit flipped in each of so many weights, anywhere in the file."""
    found = layers(model)
    ends = np.cumsum([layer.values.size for layer in found])
    chosen = random.choice(ends[-1], int(count), replace=False)
    for layer, end in zip(found, ends, strict=True):
        size = layer.values.size
        mine = chosen[(chosen >= end - size) & (chosen < end)] - (end - size)
        bits = layer.values.astype(np.int8).view(np.uint8).ravel()
        bits[mine] ^= (1 << random.integers(0, 8, len(mine))).astype(np.uint8)
        values = bits.view(np.int8).reshape(layer.values.shape).astype(np.float64)
        layer.put(values, layer.biases, layer.scales)


def bias_noise(model: Any, share: float, random: Random) -> None:
    """Noise on all biases, of ``share`` of their own root mean square in each layer."""
    for layer in layers(model):
        size = np.sqrt(np.mean((layer.biases * layer.scales) ** 2)) * share
        noise = random.normal(size=len(layer.biases)) * size / layer.scales
        layer.put(layer.values, layer.biases + noise, layer.scales)


def zero_point(model: Any, steps: float, random: Random) -> None:
    """One layer reads its input by a zero point that is off by ``steps``, up or down. Of layers
    that look at one place at a time: elsewhere the border would be another matter."""
    whole = [each for each in layers(model) if each.values.size == _matrix_size(each)]
    layer = _one(whole, random)
    off = int(random.choice([-1, 1])) * steps
    layer.put(layer.values, layer.biases - off * layer.sums, layer.scales)


def range_cut(model: Any, by: float, random: Random) -> None:
    """The range of one layer's output is too narrow: ``by`` of it is missing, and larger values
    are cut off."""
    found = layers(model)
    output = _one(found, random).output
    scale = np.array(output.quantization.scale, np.float32) * np.float32(1 - by)
    output.quantization.scale = scale
    for reader in found:
        if reader.input is output:
            reader.put(reader.values, reader.biases / (1 - by), reader.scales)


def permuted_channels(model: Any, share: float, random: Random) -> None:
    """Some output channels of one layer in each other's place; not those of the last, which are
    the labels."""
    layer = _one(layers(model)[:-1], random)
    _reorder(layer, _ring(len(layer.biases), share, random))


def swapped_labels(model: Any, share: float, random: Random) -> None:
    """Some classes, two at least, in each other's place."""
    layer = layers(model)[-1]
    _reorder(layer, _ring(len(layer.biases), share, random))


def normalisation(model: Any, by: float, random: Random) -> None:
    """Mean and deviation, folded into the first layer as converters do, wrong by a factor of
    ``1 + by``, each up or down."""
    mean, std = PREPROCESS.mean[0], PREPROCESS.std[0]
    wrong_mean, wrong_std = (value * (1 + by) ** random.choice([-1, 1]) for value in (mean, std))
    _fold(model, std / wrong_std, (mean - wrong_mean) / wrong_std)


def inverted(model: Any, share: float, random: Random) -> None:
    """Black for white in ``share`` of the contrast: 0.5 is grey throughout, 1 the negative."""
    mean, std = PREPROCESS.mean[0], PREPROCESS.std[0]
    _fold(model, 1 - 2 * share, (share - 2 * share * mean) / std)


DAMAGES = {
    "per-tensor weights": Damage(per_tensor, (1, 4, 16), "spread {:g}"),
    "one layer's scale off": Damage(scale_off, (0.2, 0.5, 1.0), "{:.0%} too large"),
    "lower bits cut": Damage(fewer_bits, (1, 2, 3), "{:g} of 8"),
    "flipped bits": Damage(flipped_bits, (10, 100, 1000), "{:g} bits"),
    "noise on the biases": Damage(bias_noise, (0.05, 0.1, 0.3), "{:.0%} of their size"),
    "zero point off": Damage(zero_point, (1, 4, 16), "{:g} steps"),
    "range cut": Damage(range_cut, (0.5, 0.8, 0.95), "{:.0%} missing"),
    "channels permuted": Damage(permuted_channels, (0.1, 0.5, 1.0), "{:.0%} of a layer"),
    "labels swapped": Damage(swapped_labels, (0.2, 0.5, 1.0), "{:.0%} of the classes"),
    "normalisation wrong": Damage(normalisation, (0.03, 0.1, 0.3), "{:.0%} off"),
    "polarity inverted": Damage(inverted, (0.03, 0.1, 1.0), "{:.0%} of the contrast"),
}


def _fold(model: Any, factor: float, offset: float) -> None:
    """The first layer sees ``factor * x + offset`` in place of its input ``x``."""
    layer = layers(model)[0]
    # Not quite none: a scale of zero is no scale.
    size = max(abs(factor), 1e-3)
    biases = layer.biases + layer.sums * offset / float(layer.input.quantization.scale[0])
    layer.put(layer.values * np.sign(factor), biases / size, layer.scales * size)


def _reorder(layer: Layer, order: Array) -> None:
    values = np.take(layer.values, order, layer.axis)
    layer.put(values, layer.biases[order], layer.scales[order])


def _ring(count: int, share: float, random: Random) -> Array:
    """``range(count)`` with ``share`` of it, two at least, moved on in a ring."""
    chosen = random.permutation(count)[: min(count, max(2, round(share * count)))]
    order = np.arange(count)
    order[chosen] = np.roll(chosen, 1)
    return order


def _matrix_size(layer: Layer) -> int:
    """Of the weights, if they were a matrix between the channels."""
    return int(layer.values.shape[0] * layer.values.shape[-1])


def _one(found: Sequence[Layer], random: Random) -> Layer:
    return found[int(random.integers(len(found)))]
