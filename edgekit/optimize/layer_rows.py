"""A convolution or fully connected layer as products of matrices: what it reads, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgekit.optimize.torch_ops import padded
from edgekit.tflite.graph import Op

ROWS_LEAST, ROWS_MOST = 2048, 16384
ROWS_PER_INPUT = 16
"""Positions that are looked at, by how many inputs a product has."""


@dataclass(frozen=True)
class LayerInputs:
    """The same positions of the float inputs and of those that were stored in INT8: [rows, window,
    channels]. Each row makes an output in each of ``groups``."""

    exact: Tensor
    stored: Tensor
    groups: int


def by_group(patches: Tensor, groups: int) -> Tensor:
    """[groups, rows, in], with ``in`` in the order of the weights, of patches [rows, window,
    channels]."""
    rows, window, channels = patches.shape
    split = patches.reshape(rows, window, groups, channels // groups)
    return split.permute(2, 0, 1, 3).reshape(groups, rows, -1)


def layer_inputs(
    op: Op,
    options: Any,
    exact: Mapping[int, Tensor],
    stored: Mapping[int, Tensor],
    constants: Mapping[int, Tensor],
    generator: torch.Generator,
) -> LayerInputs:
    """Rows of what ``op`` reads, at positions drawn with ``generator``."""
    source, weights = op.inputs[0], constants[op.inputs[1]]
    pair = [exact[source], stored[source]]
    if op.name == "FULLY_CONNECTED":
        flat = [x.reshape(-1, weights.shape[1]) for x in pair]
        chosen = _drawn(len(flat[0]), weights.shape[1], generator)
        return LayerInputs(flat[0][chosen][:, None], flat[1][chosen][:, None], 1)
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    height, width = weights.shape[1:3]
    stride = (int(options.strideH), int(options.strideW))
    dilation = (int(options.dilationHFactor), int(options.dilationWFactor))
    groups = pair[0].shape[3] // (1 if depthwise else weights.shape[3])
    size = height * width * (1 if depthwise else weights.shape[3])
    places: list[tuple[Tensor, Tensor, Tensor]] = []
    found = []
    for x in pair:
        framed = _framed(x, options.padding, (height, width), stride, dilation)
        if not places:
            places.append(_positions(framed, (height, width), stride, dilation, size, generator))
        sample, top, left = places[0]
        patches = torch.stack(
            [
                framed[sample, top + y * dilation[0], left + x_ * dilation[1]]
                for y in range(height)
                for x_ in range(width)
            ],
            dim=1,
        )
        found.append(patches)
    return LayerInputs(found[0], found[1], groups)


def _framed(
    x: Tensor, kind: int, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """``x`` (NHWC) with its padding written out."""
    inner, (top, left) = padded(kind, x.permute(0, 3, 1, 2), window, stride, dilation)
    whole = torch.nn.functional.pad(inner, (left, left, top, top))
    return whole.permute(0, 2, 3, 1)


def _positions(
    framed: Tensor,
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    size: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample, top and left of the windows that are looked at, for products of ``size`` inputs."""
    samples = framed.shape[0]
    down, across = (
        (extent - ((length - 1) * apart + 1)) // step + 1
        for extent, length, step, apart in zip(
            framed.shape[1:3], window, stride, dilation, strict=True
        )
    )
    chosen = _drawn(samples * down * across, size, generator)
    inside = chosen % (down * across)
    return chosen // (down * across), inside // across * stride[0], inside % across * stride[1]


def _drawn(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Which of ``count`` rows are looked at, for products of ``size`` inputs; in order."""
    wanted = min(max(ROWS_PER_INPUT * size, ROWS_LEAST), ROWS_MOST)
    if count <= wanted:
        return torch.arange(count)
    return torch.randint(count, (wanted,), generator=generator).sort().values


def as_matrices(op: Op, weights: Tensor, groups: int) -> Tensor:
    """The weights of ``op`` as [groups, out, in]."""
    if op.name == "FULLY_CONNECTED":
        return weights[None]
    if op.name == "DEPTHWISE_CONV_2D":  # [1, h, w, channels * multiplier]
        window = weights.shape[1] * weights.shape[2]
        return weights.reshape(window, groups, -1).permute(1, 2, 0)
    return weights.reshape(groups, weights.shape[0] // groups, -1)


def from_matrices(op: Op, matrices: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of ``as_matrices``."""
    if op.name == "DEPTHWISE_CONV_2D":
        return matrices.permute(2, 0, 1).reshape(tuple(shape)).contiguous()
    return matrices.reshape(tuple(shape)).contiguous()
