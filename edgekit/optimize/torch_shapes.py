"""Operators that move values about, in torch: channels-last, with the samples along the first axis,
which none of them may touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.optimize.torch_operands import listed, one, two

_REFLECT = 0  # schema.MirrorPadMode.REFLECT


def reshape(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x = one(inputs)
    shape = inputs[1] if len(inputs) > 1 and inputs[1] is not None else None
    wanted = [int(n) for n in (listed(options.newShape) if shape is None else shape.flatten())]
    if not wanted or wanted[0] not in (1, -1):
        raise ValueError(f"it reshapes to {wanted}, where the samples are not the first axis")
    return x.reshape(x.shape[0], *wanted[1:])


def squeeze(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x = one(inputs)
    axes = [int(axis) % x.ndim for axis in listed(options.squeezeDims)]
    if 0 in axes or not axes:  # none are all that are 1
        raise ValueError("it squeezes the samples away")
    return x.squeeze(tuple(axes))


def expand_dims(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, axis = two(inputs)
    where = int(axis) % (x.ndim + 1)
    if where == 0:
        raise ValueError("it puts an axis before the samples")
    return x.unsqueeze(where)


def transpose(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, order = two(inputs)
    axes = [int(axis) for axis in order]
    if axes[0] != 0:
        raise ValueError("it moves the axis of the samples")
    return x.permute(axes)


def pad(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, widths = two(inputs)
    value = 0.0 if len(inputs) < 3 or inputs[2] is None else float(inputs[2])
    pairs = [(int(before), int(after)) for before, after in widths.reshape(-1, 2)]
    if pairs[0] != (0, 0):
        raise ValueError("it adds samples")
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)


def concatenation(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    parts = [part for part in inputs if part is not None]
    axis = int(options.axis) % parts[0].ndim
    if axis == 0:
        raise ValueError("it joins samples")
    samples = max(part.shape[0] for part in parts)
    grown = [part.expand(samples, *part.shape[1:]) for part in parts]
    return torch.cat(grown, dim=axis)


def mirror_pad(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """REFLECT leaves the border out of what it repeats, SYMMETRIC does not."""
    x, widths = two(inputs)
    pairs = [(int(before), int(after)) for before, after in widths.reshape(-1, 2)]
    if pairs[0] != (0, 0):
        raise ValueError("it adds samples")
    border = 1 if options.mode == _REFLECT else 0
    for axis, (before, after) in enumerate(pairs):
        size = x.shape[axis]
        places = [
            *range(before + border - 1, border - 1, -1),
            *range(size),
            *range(size - 1 - border, size - 1 - border - after, -1),
        ]
        x = x.index_select(axis, torch.tensor(places))
    return x


def slice_(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: x, first place by axis, size by axis with -1 for all that is left."""
    x, begins = two(inputs)
    sizes = one(inputs[2:])
    for axis, (begin, size) in enumerate(zip(begins.tolist(), sizes.tolist(), strict=True)):
        if axis == 0:  # the size is the file's batch
            if begin != 0:
                raise ValueError("it leaves samples out")
            continue
        x = x.narrow(axis, begin, x.shape[axis] - begin if size < 0 else size)
    return x


def strided_slice(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: x, begin, end and stride by axis."""
    x, begins = two(inputs)
    ends, strides = two(inputs[2:])
    if options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False):
        raise ValueError("its mask has no rule")
    gone = []
    told = zip(begins.tolist(), ends.tolist(), strides.tolist(), strict=True)
    for axis, (begin, end, stride) in enumerate(told):
        bit = 1 << axis
        if axis == 0:
            whole = begin == 0 or bool(options.beginMask & bit)
            if not whole or stride != 1 or options.shrinkAxisMask & bit:
                raise ValueError("it leaves samples out")
            continue
        if options.shrinkAxisMask & bit:
            x = x.narrow(axis, begin % x.shape[axis], 1)
            gone.append(axis)
            continue
        if stride < 1:
            raise ValueError("it goes backwards")
        first = None if options.beginMask & bit else begin
        last = None if options.endMask & bit else end
        places = range(x.shape[axis])[slice(first, last, stride)]
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return x.squeeze(tuple(gone)) if gone else x


def reverse(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, axes = two(inputs)
    dims = [int(axis) % x.ndim for axis in axes.flatten()]
    if 0 in dims:
        raise ValueError("it turns the samples round")
    return x.flip(dims)


def depth_to_space(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, size = one(inputs), int(options.blockSize)
    n, height, width, depth = x.shape
    blocks = x.reshape(n, height, width, size, size, depth // size**2)
    return blocks.permute(0, 1, 3, 2, 4, 5).reshape(n, height * size, width * size, -1)


def space_to_depth(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, size = one(inputs), int(options.blockSize)
    n, height, width, depth = x.shape
    blocks = x.reshape(n, height // size, size, width // size, size, depth)
    return blocks.permute(0, 1, 3, 2, 4, 5).reshape(n, height // size, width // size, -1)


def resize_bilinear(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: NHWC, height and width."""
    x, size = two(inputs)
    wanted = (int(size[0]), int(size[1]))
    if not options.alignCorners and not options.halfPixelCenters and tuple(x.shape[1:3]) != wanted:
        raise ValueError("it neither aligns corners nor looks at the middle of pixels")
    resized = F.interpolate(
        x.permute(0, 3, 1, 2), wanted, mode="bilinear", align_corners=bool(options.alignCorners)
    )
    return resized.permute(0, 2, 3, 1)


def resize_nearest(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: NHWC, height and width."""
    x, size = two(inputs)
    if options.alignCorners:
        raise ValueError("it aligns corners")
    mode = "nearest-exact" if options.halfPixelCenters else "nearest"
    resized = F.interpolate(x.permute(0, 3, 1, 2), (int(size[0]), int(size[1])), mode=mode)
    return resized.permute(0, 2, 3, 1)
