"""What each TFLite operator computes, in torch: float32, channels-last, any number of samples.

A rule takes the operator's options and its inputs and gives its one output. Samples lie along the
first axis of every activation, whatever batch the file was written for. Kernels follow the
operators' definitions in tensorflow/lite/kernels; padding SAME puts the odd pixel behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.optimize import torch_shapes as shapes
from edgekit.optimize.torch_operands import Rule, one, there, three, two
from edgekit.tflite.flatbuffer import enum_names

_SAME = 0  # schema.Padding.SAME


def conv_2d(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: NHWC, weights [out, h, w, in / groups], bias [out] or none."""
    x, weights, bias = three(inputs)
    groups = x.shape[3] // weights.shape[3]
    return _convolve(options, x, weights.permute(0, 3, 1, 2), bias, groups)


def depthwise_conv_2d(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: NHWC, weights [1, h, w, out], bias [out] or none."""
    x, weights, bias = three(inputs)
    return _convolve(options, x, weights.permute(3, 0, 1, 2), bias, x.shape[3])


def _convolve(options: Any, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    stride = (int(options.strideH), int(options.strideW))
    dilation = (int(options.dilationHFactor), int(options.dilationWFactor))
    framed, padding = padded(
        options.padding, x.permute(0, 3, 1, 2), kernel.shape[2:], stride, dilation
    )
    y = F.conv2d(framed, kernel, bias, stride, padding, dilation, groups)
    return activated(options.fusedActivationFunction, y.permute(0, 2, 3, 1))


def padded(
    kind: int,
    x: Tensor,
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int] = (1, 1),
    value: float = 0.0,
) -> tuple[Tensor, tuple[int, int]]:
    """``x`` (NCHW), and the symmetric padding that is still to be done to it."""
    if kind != _SAME:
        return x, (0, 0)
    both = []
    for size, length, step, apart in zip(x.shape[2:], window, stride, dilation, strict=True):
        reach = (length - 1) * apart + 1
        total = max(((size + step - 1) // step - 1) * step + reach - size, 0)
        both.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = both
    if top == bottom and left == right and value == 0.0:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def transpose_conv(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    """``inputs``: output shape, weights [out, h, w, in], NHWC, bias or none."""
    shape, weights, x = there(inputs[:3])
    rest = inputs[3:]
    stride = (int(options.strideH), int(options.strideW))
    full = F.conv_transpose2d(
        x.permute(0, 3, 1, 2), weights.permute(3, 0, 1, 2), rest[0] if rest else None, stride
    )
    height, width = int(shape[1]), int(shape[2])
    top = left = 0
    if options.padding == _SAME:
        top = max((x.shape[1] - 1) * stride[0] + weights.shape[1] - height, 0) // 2
        left = max((x.shape[2] - 1) * stride[1] + weights.shape[2] - width, 0) // 2
    # Where the asked size is larger than what the product gives, the rest is the bias alone.
    lacking = (width + left - full.shape[3], height + top - full.shape[2])
    if max(lacking) > 0:
        bias = rest[0] if rest and rest[0] is not None else full.new_zeros(full.shape[1])
        full = F.pad(full - bias[:, None, None], (0, max(lacking[0], 0), 0, max(lacking[1], 0)))
        full = full + bias[:, None, None]
    cut = full[:, :, top : top + height, left : left + width]
    return activated(getattr(options, "fusedActivationFunction", 0), cut.permute(0, 2, 3, 1))


def fully_connected(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, weights, bias = three(inputs)
    flat = x if options.keepNumDims else x.reshape(x.shape[0], -1)
    if flat.shape[-1] != weights.shape[1]:
        raise ValueError(f"{flat.shape[-1]} values a sample for weights of {weights.shape[1]}")
    return activated(options.fusedActivationFunction, F.linear(flat, weights, bias))


def batch_matmul(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    a, b = two(inputs)
    return torch.matmul(a.mT if options.adjX else a, b.mT if options.adjY else b)


def _average_pool(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x = one(inputs).permute(0, 3, 1, 2)
    window, stride = _window(options)
    framed, padding = padded(options.padding, x, window, stride)
    total = F.avg_pool2d(framed, window, stride, padding, divisor_override=1)
    # Pixels beyond the edge do not count.
    ones, padding = padded(options.padding, torch.ones_like(x[:1, :1]), window, stride)
    count = F.avg_pool2d(ones, window, stride, padding, divisor_override=1)
    return activated(options.fusedActivationFunction, (total / count).permute(0, 2, 3, 1))


def _max_pool(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x = one(inputs).permute(0, 3, 1, 2)
    window, stride = _window(options)
    framed, _ = padded(options.padding, x, window, stride, value=-torch.inf)
    pooled = F.max_pool2d(framed, window, stride)
    return activated(options.fusedActivationFunction, pooled.permute(0, 2, 3, 1))


def _window(options: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (int(options.filterHeight), int(options.filterWidth)),
        (int(options.strideH), int(options.strideW)),
    )


def _arithmetic(function: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    def rule(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
        fused = getattr(options, "fusedActivationFunction", 0)
        return activated(fused, function(*two(inputs)))

    return rule


def _elementwise(function: Callable[[Tensor], Tensor]) -> Rule:
    return lambda options, inputs: function(one(inputs))


def _reduction(function: Callable[..., Tensor]) -> Rule:
    def rule(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
        x, axes = two(inputs)
        dims = tuple(int(axis) % x.ndim for axis in axes.flatten())
        if 0 in dims or not dims:
            raise ValueError("it reduces over the samples")
        return function(x, dim=dims, keepdim=bool(options.keepDims))

    return rule


def _softmax(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x = one(inputs)
    if x.ndim < 2:
        raise ValueError("it runs over the samples")
    return torch.softmax(x * float(options.beta), dim=-1)


def _leaky_relu(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    return F.leaky_relu(one(inputs), float(options.alpha))


def _prelu(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    x, slope = two(inputs)
    return torch.where(x >= 0, x, x * slope)


def _gelu(options: Any, inputs: Sequence[Tensor | None]) -> Tensor:
    return F.gelu(one(inputs), approximate="tanh" if options.approximate else "none")


def activated(function: int, x: Tensor) -> Tensor:
    """``x`` behind a fused activation, a number of schema.ActivationFunctionType."""
    if function == 0:
        return x
    if function not in _FUSED:
        name = enum_names("ActivationFunctionType")[function]
        raise ValueError(f"the fused activation {name} has no rule")
    return _FUSED[function](x)


_FUSED: dict[int, Callable[[Tensor], Tensor]] = {
    1: torch.relu,
    2: lambda y: y.clamp(-1.0, 1.0),
    3: lambda y: y.clamp(0.0, 6.0),
}
"""TANH and SIGN_BIT are in the schema, but kernels leave them out or refuse them."""


RULES: dict[str, Rule] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _max_pool,
    "ADD": _arithmetic(torch.add),
    "SUB": _arithmetic(torch.sub),
    "MUL": _arithmetic(torch.mul),
    "DIV": _arithmetic(torch.div),
    "MAXIMUM": _arithmetic(torch.maximum),
    "MINIMUM": _arithmetic(torch.minimum),
    "SQUARED_DIFFERENCE": _arithmetic(lambda a, b: (a - b) ** 2),
    "POW": _arithmetic(torch.pow),
    "MEAN": _reduction(torch.mean),
    "SUM": _reduction(torch.sum),
    "REDUCE_MAX": _reduction(torch.amax),
    "REDUCE_MIN": _reduction(torch.amin),
    "RELU": _elementwise(F.relu),
    "RELU6": _elementwise(F.relu6),
    "LOGISTIC": _elementwise(torch.sigmoid),
    "TANH": _elementwise(torch.tanh),
    "HARD_SWISH": _elementwise(F.hardswish),
    "ELU": _elementwise(F.elu),
    "EXP": _elementwise(torch.exp),
    "LOG": _elementwise(torch.log),
    "ABS": _elementwise(torch.abs),
    "NEG": _elementwise(torch.neg),
    "SQRT": _elementwise(torch.sqrt),
    "RSQRT": _elementwise(torch.rsqrt),
    "SQUARE": _elementwise(torch.square),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "GELU": _gelu,
    "SOFTMAX": _softmax,
    "RESHAPE": shapes.reshape,
    "SQUEEZE": shapes.squeeze,
    "EXPAND_DIMS": shapes.expand_dims,
    "TRANSPOSE": shapes.transpose,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "MIRROR_PAD": shapes.mirror_pad,
    "CONCATENATION": shapes.concatenation,
    "SLICE": shapes.slice_,
    "STRIDED_SLICE": shapes.strided_slice,
    "REVERSE_V2": shapes.reverse,
    "DEPTH_TO_SPACE": shapes.depth_to_space,
    "SPACE_TO_DEPTH": shapes.space_to_depth,
    "RESIZE_BILINEAR": shapes.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": shapes.resize_nearest,
}
"""By the operator's schema name."""
